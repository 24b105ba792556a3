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

/** Parses "id parent target" lines, of which the first is the root. */
const table = (...lines: string[]) =>
  mountTable(
    lines
      .map((line) => line.split(' '))
      .map(([id = '', parent = '', target = '']) => `${id} ${parent} 0:${id} / ${target} rw - tmpfs t rw\n`)
      .join(''),
  );
const test = suite('mountTable');
test('of two mounts with the same mount point and parent the later one serves (before Linux 4.11)', () => {
  assert.is(table('1 0 /', '2 1 /a', '3 1 /a').serving('/a/b')?.id, 3);
});

test('the root is the mount whose parent is not in the list, in any order of lines', () => {
  assert.is(table('2 1 /', '1 0 /', '3 1 /a').serving('/')?.id, 1);
  assert.is(table('2 1 /', '1 0 /', '3 1 /a').serving('/a')?.id, 3);
  assert.is(table('2 1 /', '1 1 /').serving('/')?.id, 1);
});

test('at() returns hidden mounts too', () => {
  const mounts = table('1 0 /', '2 1 /a', '3 2 /a');
  assert.equal(
    mounts.at('/a').map(({ id }) => id),
    [2, 3],
  );
  assert.equal(mounts.at('/b'), []);
});

test('IDs that do not form a tree: a result or an error, in finite time', () => {
  const tangled = fc.array(
    fc.tuple(fc.nat({ max: 4 }), fc.nat({ max: 4 }), fc.constantFrom('/', '/a', '/a/b')),
    {
      minLength: 1,
      maxLength: 12,
    },
  );
  fc.assert(
    fc.property(tangled, (lines) => {
      const text = lines
        .map(([id, parent, target]) => `${id} ${parent} 0:1 / ${target} rw - t s rw\n`)
        .join('');
      try {
        mountTable(text).serving('/a/b/c');
      } catch (error) {
        assert.is((error as Error).message, 'mountinfo is not a tree');
      }
    }),
    { numRuns: 1000 },
  );
});

/**
 * A model of mount(2): each mount is made on the mount that serves its target at that time. No mount is made on "/".
 */
test('serving() agrees with a model of successive calls of mount(2)', () => {
  const targets = ['/a', '/a/b', '/a/b/c', '/ab', '/d'];
  const asked = ['/', '/a', '/a/x', '/a/b', '/a/b/c', '/a/b/c/d', '/ab', '/ab/c', '/d', '/e'];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...targets), { maxLength: 10 }), fc.boolean(), (order, reversed) => {
      const made = [{ id: 1, parent: 0, target: '/' }];
      const model = new Map(asked.map((each) => [each, 1]));
      const serves = new Map(targets.map((each) => [each, 1]));
      order.forEach((target, index) => {
        const id = index + 2;
        made.push({ id, parent: serves.get(target) ?? 1, target });
        for (const [each] of model) if (isBelow(each, target)) model.set(each, id);
        for (const [each] of serves) if (isBelow(each, target)) serves.set(each, id);
      });
      const lines = made.map(({ id, parent, target }) => `${id} ${parent} 0:${id} / ${target} rw - t s rw\n`);
      const table = mountTable((reversed ? lines.toReversed() : lines).join(''));
      for (const each of asked)
        assert.is(table.serving(each)?.id, model.get(each), `${each} of ${order.join(' ')}`);
    }),
    { numRuns: 500 },
  );
});
test.run();

const hidden = (...lines: string[]) => [...table(...lines).hidden].map(({ id }) => id);

const covered = suite('hidden mounts');
for (const [title, lines, expected] of [
  ['none', ['1 0 /', '2 1 /a', '3 2 /a/b'], []],
  ['one mount below another on the same mount point', ['1 0 /', '2 1 /a', '3 2 /a'], [2]],
  ['two mounts below another on the same mount point', ['1 0 /', '2 1 /a', '3 2 /a', '4 3 /a'], [2, 3]],
  ['a hidden mount and the mounts on it', ['1 0 /', '2 1 /a', '3 2 /a/b', '4 2 /a'], [2, 3]],
  ['a mount covered by a later one on a directory above', ['1 0 /', '2 1 /a/b', '3 1 /a'], [2]],
  ['a mount covered by a later one further above', ['1 0 /', '2 1 /a/b/c/d', '3 1 /a'], [2]],
  ['not covered: a directory with the same prefix', ['1 0 /', '2 1 /ab', '3 1 /a'], []],
  ['the earlier of two on one mount point (before Linux 4.11)', ['1 0 /', '2 1 /a', '3 1 /a'], [2]],
  ['a mount on / itself', ['1 0 /', '2 1 /'], [2]],
  ['a mount on / itself and the mounts on it', ['1 0 /', '2 1 /', '3 2 /a'], [2, 3]],
  ['a cycle of mounts', ['1 0 /', '2 3 /a', '3 2 /a/b'], [2, 3]],
] as const) {
  covered(title, () => {
    assert.equal(hidden(...lines), expected);
    const mounts = table(...lines);
    for (const mount of mounts.all)
      assert.is(mounts.serving(mount.target) === mount, !mounts.hidden.has(mount), String(mount.id));
  });
}

/** An unprivileged user can make a chain of FUSE mounts. A walk from / for each of them would take minutes. */
covered('chains of 100,000, nested and beside each other, in either order', () => {
  for (const [count, targetOf] of [
    [100_000, (index: number) => `/${index}`],
    [3000, (index: number) => '/m'.repeat(index)],
  ] as const) {
    const lines = Array.from(
      { length: count },
      (_, index) => `${index + 1} ${index} ${index === 0 ? '/' : targetOf(index)}`,
    );
    assert.is(table(...lines).hidden.size, 0);
    assert.is(table(...lines.reverse()).hidden.size, 0);
  }
});

covered.run();
