import fs from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Mount, isBelow, mountTable, parseMountinfo } from '../../../../agent/facts/mounts/mountinfo.ts';
import { mountLine, mountLines, mountTables, mountinfoFixture } from '../../../harness/mountinfo.ts';

const real = suite('real files');
for (const [name, count, served] of mountTables) {
  real(name, () => {
    const table = mountTable(mountinfoFixture(name));
    assert.is(table.all.length, count);
    const found = Object.keys(served).map((each) => [each, String(table.serving(each)?.id)]);
    assert.equal(Object.fromEntries(found), served);
  });
}

real('every part of a line', () => {
  const mount = parseMountinfo(mountinfoFixture('centos-7.3')).find(({ id }) => id === 74);
  assert.equal(mount, {
    id: 74,
    parent: 60,
    device: '253:2',
    root: '/',
    target: '/home',
    options: ['rw', 'relatime'],
    type: 'xfs',
    source: '/dev/mapper/cl-home',
    superOptions: ['rw', 'seclabel', 'attr2', 'inode64', 'noquota'],
  });
});

real('/proc/self/mountinfo of the test', () => {
  const table = mountTable(fs.readFileSync('/proc/self/mountinfo', 'latin1'));
  assert.is(table.serving('/proc/self')?.type, 'proc');
  assert.is(table.serving('/')?.target, '/');
});
real.run();

const one = suite('one line');
for (const [title, text, expected] of mountLines) {
  one(title, () => {
    const [mount, ...others] = parseMountinfo(text);
    assert.equal(others, []);
    assert.equal(mount, {
      id: 36,
      parent: 35,
      device: '98:0',
      root: '/',
      target: '/x',
      options: ['rw', 'noatime'],
      type: 'ext3',
      source: 'src',
      superOptions: ['rw'],
      ...expected,
    });
  });
}

for (const [title, text, said] of [
  ['nothing', '', 'mountinfo is empty'],
  ['an empty line', '\n', 'mountinfo line 1 is malformed'],
  ['no hyphen', '36 35 98:0 / / rw shared:1 ext3 src rw\n', 'mountinfo line 1 is malformed'],
  ['a second line cut off', `${mountLine({})}36 35 98:0 / /x`, 'mountinfo line 2 is malformed'],
  ['a target that is no path', mountLine({ target: 'x' }), 'mountinfo line 1 is malformed'],
  ['an id that is no number', mountLine({}).replace('36', 'a'), 'mountinfo line 1 is malformed'],
  ['a number of 20 digits', mountLine({}).replace('36', '9'.repeat(20)), 'mountinfo line 1 is malformed'],
  ['another kind of file', '<html>\n', 'mountinfo line 1 is malformed'],
] as const) {
  one(`refused: ${title}`, () => {
    assert.throws(
      () => parseMountinfo(text),
      (error: unknown) => error instanceof Error && error.message === said,
    );
  });
}
one.run();

/** Prints a line as the kernel does (fs/proc_namespace.c, show_mountinfo(), with seq_path() and mangle()). */
function print(mount: Mount, optional: readonly string[]): string {
  const escape = (text: string) =>
    Buffer.from(text, 'utf8')
      .toString('latin1')
      .replace(/[ \t\n\\#]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
  const { id, parent, device, root, target, options, type, source, superOptions } = mount;
  return [
    ...[id, parent, device, escape(root), escape(target), options.join(','), ...optional],
    ...['-', escape(type), escape(source), superOptions.map(escape).join(',')],
  ].join(' ');
}

const name = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 12 })
  .map((text) => text.replaceAll(/[/\0,]/g, '_'))
  .filter((text) => text.isWellFormed());
const somePath = fc.array(name, { maxLength: 3 }).map((parts) => `/${parts.join('/')}`);
const number = fc.nat({ max: 2 ** 31 });
const words = fc.array(fc.constantFrom('rw', 'ro', 'nosuid', 'nodev', 'noexec', 'relatime'), {
  minLength: 1,
  maxLength: 4,
});
const mountArbitrary: fc.Arbitrary<Mount> = fc.record(
  {
    id: number,
    parent: number,
    device: fc.tuple(number, number).map(([major, minor]) => `${major}:${minor}`),
    root: somePath,
    target: somePath,
    options: words,
    type: fc.constantFrom('xfs', 'ext4', 'tmpfs', 'fuse.sshfs', 'overlay'),
    source: fc.oneof(name, somePath),
    superOptions: fc.tuple(words, fc.array(name, { maxLength: 2 })).map((parts) => parts.flat()),
  },
  { noNullPrototype: true },
);
const optionalFields = fc.array(fc.constantFrom('shared:1', 'master:22', 'propagate_from:3', 'unbindable'));

const properties = suite('parseMountinfo, any text');
properties('a printed line is parsed to the same fields', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(mountArbitrary, optionalFields), { minLength: 1 }), (mounts) => {
      const text = mounts.map(([mount, optional]) => `${print(mount, optional)}\n`).join('');
      assert.equal(
        parseMountinfo(text),
        mounts.map(([mount]) => mount),
      );
    }),
    { numRuns: 300 },
  );
});

/** Pieces of lines in any order. */
const garbage = fc.array(
  fc.oneof(
    fc.constantFrom('36 35 98:0 / / rw - ext3 a rw', '1 1 0:1 / / rw - a b c', '\n', ' ', '-', '\\040', '\\'),
    fc.string({ unit: fc.nat({ max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 8 }),
  ),
);
properties('any text: parsed, or a documented error', () => {
  fc.assert(
    fc.property(garbage, (parts) => {
      try {
        mountTable(parts.join('')).serving('/a/b');
      } catch (error) {
        assert.instance(error, Error);
        const { message } = error as Error;
        assert.match(message, /^mountinfo (is empty|line \d+ is malformed|is not a tree)$/);
      }
    }),
    { numRuns: 1000 },
  );
});
properties.run();

const below = suite('isBelow');
for (const [file, top, expected] of [
  ['/', '/', true],
  ['/a', '/', true],
  ['/a', '/a', true],
  ['/a/b', '/a', true],
  ['/ab', '/a', false],
  ['/', '/a', false],
] as const) {
  below(`${file} ${top}`, () => assert.is(isBelow(file, top), expected));
}
below.run();
