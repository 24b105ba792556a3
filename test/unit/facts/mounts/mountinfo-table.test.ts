import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isBelow, mountTable } from '../../../../agent/facts/mounts/mountinfo.ts';

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
