import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeBytes } from '../../../../agent/lib/format.ts';
import { parseFstab } from '../../../../agent/facts/mounts/fstab.ts';
import {
  addOption,
  commentedOut,
  editText,
  optionsOf,
  setOptions,
  withOptions,
  withoutPass,
} from '../../../../agent/prepare/engine/fstab.ts';

/** Strings of bytes with a meaning in fstab and of other bytes. */
const text = fc.string({
  unit: fc.constantFrom(...' \t\n\r#,\\/=0127abcdefUID-\x85\xa0\xff"'.split('')),
  maxLength: 200,
});
const word = fc.stringMatching(/^[a-z\\/][a-z0-9\\/:=-]{0,12}$/);
/** Lines of three to seven fields. */
const line = fc.stringMatching(
  /^[ \t]{0,3}(?:[a-z\\/][a-z0-9\\/:=-]{0,12}[ \t]{1,5}){3}(?:[a-z\\/][a-z0-9\\/:=-]{0,12}[ \t]{1,5}(?:|0|0 0|1\t2|0 2 # more|0 1\r))?$/,
);

const properties = suite('fstab: properties');
properties('text without an edit stays the same', () => {
  fc.assert(
    fc.property(text, (all) => {
      assert.is(editText(all, new Map()), all);
      const every = new Map(all.split('\n').map((_, index) => [index + 1, (line: string) => line]));
      assert.is(editText(all, every), all);
    }),
  );
});
properties('options are the same as the parser reads', () => {
  fc.assert(
    fc.property(line, (one) => {
      assert.equal(
        parseFstab(one).lines[0]?.options,
        optionsOf(one).flatMap((option) =>
          // A comma can be octal, and a byte that is not UTF-8 is shown as an escape sequence.
          decodeBytes(
            option.replaceAll(/\\(?!000)[0-3][0-7]{2}/g, (o) => String.fromCharCode(parseInt(o.slice(1), 8))),
          ).split(','),
        ),
      );
    }),
  );
});
/** Splits a line into fields (at odd indexes) and blanks. */
const split = (one: string) => one.split(/([^ \t\r]+)/);
properties('new options are read back, and the rest of the line is unchanged', () => {
  fc.assert(
    fc.property(line, fc.array(word, { minLength: 1, maxLength: 4 }), (one, options) => {
      const after = withOptions(one, options);
      assert.equal(optionsOf(after), options.join(',').split(','));
      const before = split(one);
      if (before.length > 7) assert.equal(split(after), before.toSpliced(7, 1, options.join(',')));
      else assert.is(after, [...before.slice(0, 6), ' ', options.join(','), before[6]].join(''));
    }),
  );
});
properties('pass 0 is read back, and the rest of the line is unchanged', () => {
  fc.assert(
    fc.property(line, (one) => {
      const [before, after] = [split(one), withoutPass(one)];
      assert.is(parseFstab(after).lines[0]?.pass, 0);
      if (before[11] === undefined) assert.is(after, one);
      else assert.equal(split(after), before.toSpliced(11, 1, '0'));
    }),
  );
});
properties.run();

const one = suite('fstab: one line');
for (const [before, expected] of [
  ['defaults', 'defaults,ro'],
  ['rw,noatime', 'ro,noatime'],
  ['noatime,rw', 'noatime,ro'],
  ['ro,rw', 'ro'],
  ['rw,rw', 'ro'],
  ['errors=remount-ro', 'errors=remount-ro,ro'],
] as const) {
  one(`${before} with ro`, () => assert.is(addOption(before.split(','), 'ro', 'rw').join(','), expected));
}
one('commented out', () => {
  const edits = new Map([[2, commentedOut('why')]]);
  const after = editText('a / xfs\n\tb swap swap  sw\r\nc', edits);
  assert.is(after, 'a / xfs\n# immutafs-agent prepare: why\n#\tb swap swap  sw\r\nc');
});
one.run();

const targets = suite('fstab: the lines of a target');
for (const [before, after] of [
  ['/dev/b /home xfs defaults 0 0\n', '/dev/b /home xfs defaults,noexec,nosuid,nodev 0 0\n'],
  ['/dev/b\t/home  xfs   exec,uquota\t0 0 # x', '/dev/b\t/home  xfs   uquota,noexec,nosuid,nodev\t0 0 # x'],
  ['/dev/b /home xfs', '/dev/b /home xfs defaults,noexec,nosuid,nodev'],
  ['  /dev/b /home xfs nodev\n/dev/c / xfs\n', '  /dev/b /home xfs noexec,nosuid,nodev\n/dev/c / xfs\n'],
  ['# /dev/b /home xfs\n', '# /dev/b /home xfs\n'],
] as const) {
  targets(`options are added: ${before.trim()}`, () => {
    assert.is(setOptions(before, '/home', ['noexec', 'nosuid', 'nodev']), after);
  });
}
targets.run();
