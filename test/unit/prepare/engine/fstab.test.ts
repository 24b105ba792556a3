import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeBytes } from '../../../../agent/lib/format.ts';
import { parseFstab } from '../../../../agent/facts/mounts/fstab.ts';
import {
  addOption,
  commentedOut,
  editText,
  mergeOptions,
  optionsOf,
  setOptions,
  splitLine,
  withOptions,
  withPass,
} from '../../../../agent/prepare/engine/fstab.ts';

/** Strings of bytes with a meaning in fstab and of other bytes. */
const text = fc.string({
  unit: fc.constantFrom(...' \t\n\r#,\\/=0127abcdefUID-\x85\xa0\xff"'.split('')),
  maxLength: 200,
});
const word = fc.stringMatching(/^[a-z\\/][a-z0-9\\/:=-]{0,12}$/);
const blanks = fc.stringMatching(/^[ \t]{1,5}$/);
/** Lines of three to seven fields. */
const line = fc
  .tuple(fc.stringMatching(/^[ \t]{0,3}$/), fc.array(fc.tuple(word, blanks), { minLength: 3, maxLength: 4 }))
  .chain(([lead, fields]) =>
    fc
      .constantFrom('', '0', '0 0', '1\t2', '0 2 # more', '0 1\r')
      .map(
        (end) =>
          lead + fields.map(([field, space]) => field + space).join('') + (fields.length === 4 ? end : ''),
      ),
  );

const properties = suite('fstab: properties');
properties('text without an edit stays the same', () => {
  fc.assert(
    fc.property(text, (all) => {
      assert.is(splitLine(all.replaceAll('\n', '')).join(''), all.replaceAll('\n', ''));
      assert.is(editText(all, new Map()), all);
      const every = new Map(all.split('\n').map((_, index) => [index + 1, (pieces: string[]) => pieces]));
      assert.is(editText(all, every), all);
    }),
  );
});
properties('fields are the same as the parser reads', () => {
  fc.assert(
    fc.property(line, (one) => {
      const [found] = parseFstab(one).lines;
      const pieces = splitLine(one);
      assert.is(
        pieces
          .filter((_, index) => index % 2 === 0)
          .join('')
          .trim(),
        '',
      );
      assert.equal(
        found?.options,
        optionsOf(pieces).flatMap((option) =>
          // A comma can be octal, and a byte that is not UTF-8 is shown as an escape sequence.
          decodeBytes(
            option.replaceAll(/\\(?!000)[0-3][0-7]{2}/g, (o) => String.fromCharCode(parseInt(o.slice(1), 8))),
          ).split(','),
        ),
      );
    }),
  );
});
properties('new options are read back, and the rest of the line is unchanged', () => {
  fc.assert(
    fc.property(line, fc.array(word, { minLength: 1, maxLength: 4 }), (one, options) => {
      const before = splitLine(one);
      const after = withOptions(before, options);
      assert.equal(optionsOf(splitLine(after.join(''))), options.join(',').split(','));
      const others = (pieces: string[]) => pieces.filter((_, index) => index !== 7);
      if (before.length > 7) assert.equal(others(after), others(before));
      else assert.is(after.join('').startsWith(before.slice(0, -1).join('')), true);
    }),
  );
});
properties('pass 0 is read back, and the rest of the line is unchanged', () => {
  fc.assert(
    fc.property(line, (one) => {
      const before = splitLine(one);
      const after = withPass(before, 0);
      assert.is(parseFstab(after.join('')).lines[0]?.pass, 0);
      if (before[11] === undefined) assert.is(after, before);
      else assert.equal(after, before.toSpliced(11, 1, '0'));
    }),
  );
});
properties.run();

const one = suite('fstab: one line');
for (const [title, before, options, expected] of [
  ['three fields', 'tmpfs /tmp tmpfs', ['ro'], 'tmpfs /tmp tmpfs ro'],
  ['three and a blank', 'tmpfs /tmp tmpfs ', ['ro'], 'tmpfs /tmp tmpfs ro '],
  ['a carriage return', 'a\t/a  xfs defaults 0 0\r', ['ro'], 'a\t/a  xfs ro 0 0\r'],
  ['columns', '/dev/a   /     xfs     defaults        0 0', ['ro'], '/dev/a   /     xfs     ro        0 0'],
] as const) {
  one(title, () => assert.is(withOptions(splitLine(before), options).join(''), expected));
}
for (const [title, before, expected] of [
  ['a pass', 'a / xfs defaults 1 2', 'a / xfs defaults 1 0'],
  ['a carriage return', 'a / xfs defaults 0 1\r', 'a / xfs defaults 0 0\r'],
  ['none', 'a / xfs defaults 1', 'a / xfs defaults 1'],
  ['a comment behind it', 'a / xfs defaults 0 1 # x', 'a / xfs defaults 0 0 # x'],
] as const) {
  one(`pass 0: ${title}`, () => assert.is(withPass(splitLine(before), 0).join(''), expected));
}
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
targets('opposites of an option are removed', () => {
  assert.equal(mergeOptions(['suid', 'dev', 'nosuid', 'x'], ['nosuid', 'nodev']), ['x', 'nosuid', 'nodev']);
});
targets.run();
