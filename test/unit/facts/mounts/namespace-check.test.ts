import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mountTable } from '../../../../agent/facts/mounts/mountinfo.ts';
import { findNamespaceProblems } from '../../../../agent/facts/mounts/namespace-check.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const view = suite('namespace check');
view('a mount table without "/" is a chroot, even if PID 1 has no mount there', () => {
  inTemporaryDirectory((root) => {
    const mountinfo = '61 60 253:0 / /x ro - xfs /dev/sda1 ro\n';
    writeFiles(root, {
      'proc/1/mountinfo': mountinfo,
      'proc/self/ns/pid': { linkTo: 'pid:[4026531836]' },
      'proc/self/ns/user': { linkTo: 'user:[4026531837]' },
    });
    const problems = findNamespaceProblems(systemReader({ root }), mountTable(mountinfo));
    assert.is(problems.at(-1), 'another mount namespace or another root than those of PID 1');
  });
});
view.run();

/** Parses "id parent target" lines, of which the first is the root. */
const table = (...lines: string[]) =>
  mountTable(
    lines
      .map((line) => line.split(' '))
      .map(([id = '', parent = '', target = '']) => `${id} ${parent} 0:${id} / ${target} rw - tmpfs t rw\n`)
      .join(''),
  );
const hidden = (...lines: string[]) => [...table(...lines).hidden].map(({ id }) => id);

const test = suite('hidden mounts');
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
  test(title, () => assert.equal(hidden(...lines), expected));
}

test('a mount is visible if and only if it serves its own mount point', () => {
  const mounts = table('1 0 /', '2 1 /a', '3 2 /a/b', '4 2 /a', '5 1 /c/d', '6 1 /c', '7 1 /');
  for (const mount of mounts.all) {
    const serves = mounts.serving(mount.target) === mount;
    assert.is(serves, !mounts.hidden.has(mount), `${mount.id} ${mount.target}`);
  }
});

test('a chain of 100,000, in either order', () => {
  const lines = Array.from(
    { length: 100_000 },
    (_, index) => `${index + 1} ${index} ${index === 0 ? '/' : `/${index}`}`,
  );
  assert.is(table(...lines).hidden.size, 0);
  assert.is(table(...lines.reverse()).hidden.size, 0);
});

test.run();
