import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { progressTo } from '../../../agent/commands/progress.ts';

const progress = suite('progress on stderr');

/** Shows a text at each time and returns what was written. */
function shownAt(times: readonly number[], errorTerminal: boolean): string {
  let [text, now] = ['', 0];
  const output = { stdout: () => undefined, stderr: (each: string) => void (text += each), terminal: false };
  const { show, end } = progressTo({ ...output, errorTerminal }, () => now);
  for (now of times) show(`work at \x1b[2J${now}`);
  end();
  return text;
}

progress('nothing is shown in the first second', () => {
  assert.is(shownAt([0, 500, 999], true), '');
  assert.is(shownAt([0, 500, 999], false), '');
});

progress('nothing is shown if stderr is no terminal', () => {
  assert.is(shownAt([1000, 5000, 60_000], false), '');
});

progress(
  'on a terminal, one line is overwritten and removed at the end, without control characters of others',
  () => {
    const text = shownAt([1000, 1100, 1500], true);
    assert.is(text.split('\r\x1b[K').length, 4);
    assert.ok(text.endsWith('\r\x1b[K'));
    assert.not.ok(text.includes('\x1b[2J'));
  },
);
progress.run();
