import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { entriesBetween, parseCursor } from '../../../../agent/lib/journal-export/cursor.ts';
import { type Discarded, describeDiscarded } from '../../../../agent/forward/status/end-of-boot.ts';

const ledger = suite('what the end of a boot discards');
const upper = { inodes: 7, bytes: 3 * 1024 * 1024 };
const file = (path: string, behindBytes: number) => ({ path, behindBytes });
const cases: [string, Discarded, string][] = [
  [
    'everything is acknowledged',
    { entries: 0, files: [file('/a.log', 0)], upper },
    'The end of this boot discards, without acknowledgement: 0 journal entries; and 7 files and directories (3.0 MiB) in the upper layer of /var',
  ],
  [
    'entries and log files are not acknowledged',
    { entries: 3, files: [file('/a.log', 5), file('/b.log', 0), file('/c.log', 9)], upper },
    '3 journal entries, 5 bytes of /a.log, 9 bytes of /c.log; and 7',
  ],
  [
    'nothing is known',
    { entries: null, files: [], upper: undefined },
    'an unknown number of journal entries; and the upper layer of /var',
  ],
  [
    'many log files',
    { entries: 1, files: Array.from({ length: 22 }, (_, index) => file(`/${index}.log`, 1)), upper },
    '1 bytes of /19.log, bytes of 2 more log files; and',
  ],
];
for (const [title, discarded, expected] of cases) {
  ledger(title, () => {
    const text = describeDiscarded(discarded);
    assert.ok(text.includes(expected), text);
    assert.not.match(text, '\n');
  });
}

ledger('the number of entries is known only within one sequence', () => {
  const cursor = (source: string, sequence: number) =>
    parseCursor(`s=${source.repeat(32)};i=${sequence.toString(16)};b=${'b'.repeat(32)};m=1;t=1;x=1`);
  const last = cursor('a', 20);
  assert.ok(last);
  assert.is(entriesBetween(cursor('a', 4), last), 16);
  assert.is(entriesBetween(cursor('a', 21), last), 0);
  assert.is(entriesBetween(cursor('c', 4), last), null);
  assert.is(entriesBetween(undefined, last), null);
});
ledger.run();
