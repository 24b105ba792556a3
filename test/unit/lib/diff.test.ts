import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { diffLines } from '../../../agent/lib/diff.ts';

const diff = suite('diff');
for (const [before, after, expected] of [
  ['', 'a\n', ['+a']],
  ['a\nb\nc\nd\n', 'a\nB\nc\nd\n', [' a', '-b', '+B', ' c']],
  ['a\n', 'a', ['-a', '+a (without a newline)']],
  ['a\nb\n', 'a\nb\n', []],
  ['1\n2\n3\n4\n5\n6\n7\n', '0\n1\n2\n3\n4\n5\n6\n', ['+0', ' 1', ' 6', '-7']],
] as const) {
  diff(JSON.stringify([before, after]), () => assert.equal(diffLines(before, after), [...expected]));
}
const lines = fc
  .array(fc.constantFrom('a', 'b', 'c', ''))
  .map((all) => all.map((line) => `${line}\n`).join(''));
diff('kept and removed lines are the old text, kept and added lines the new text', () => {
  fc.assert(
    fc.property(lines, lines, (before, after) => {
      const all = diffLines(before, after, Infinity);
      const of = (marks: string) =>
        all
          .filter((line) => marks.includes(line.charAt(0)))
          .map((line) => `${line.slice(1)}\n`)
          .join('');
      if (before === after) return;
      assert.is(of(' -'), before);
      assert.is(of(' +'), after);
    }),
  );
});
diff.run();
