import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unifiedHunks } from '../../../agent/lib/diff.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

const unified = suite('unified diff');
unified('patch(1) makes the new text from the old one', () =>
  inTemporaryDirectory((directory) => {
    const file = path.join(directory, 'old');
    const line = fc.constantFrom('a', 'b', 'c', '', '-x', '+y', '@@');
    const text = fc.array(line, { maxLength: 40 }).map((lines) => lines.map((each) => `${each}\n`).join(''));
    fc.assert(
      fc.property(text, text, text, (first, second, common) => {
        const [before, after] = [`${common}${first}${common}`, `${common}${second}${common}`];
        const hunks = unifiedHunks(before, after) ?? [];
        assert.is(hunks.length === 0, before === after);
        if (before === after) return;
        fs.writeFileSync(file, before);
        const input = `--- a\n+++ b\n${hunks.map((each) => `${each}\n`).join('')}`;
        const { stdout } = spawnSync('patch', ['-s', '-F0', '-o', '-', file], { input, encoding: 'utf8' });
        assert.is(stdout, after);
      }),
      { numRuns: 50 },
    );
  }),
);
unified('a line appended to a long text', () => {
  const text = 'line\n'.repeat(100_000);
  assert.equal(unifiedHunks(text, `${text}new\n`), [
    '@@ -99998,3 +99998,4 @@',
    ' line',
    ' line',
    ' line',
    '+new',
  ]);
});
unified('texts that differ in too many lines are not compared', () => {
  const lines = (word: string) => Array.from({ length: 3000 }, (_, index) => `${word} ${index}\n`).join('');
  assert.is(unifiedHunks(lines('a'), lines('b')), undefined);
});
unified.run();
