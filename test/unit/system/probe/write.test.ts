import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { tryWrite } from '../../../../agent/system/probe/write.ts';
import { inDirectories, inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const trying = suite('tryWrite');
const tryingIn = inDirectories(trying);
tryingIn('a write that succeeds leaves no file', (root) => {
  const before = fs.statSync(root).mtimeMs;
  assert.is(tryWrite(root), 'OK');
  assert.equal(fs.readdirSync(root), []);
  assert.is(fs.statSync(root).mtimeMs, before);
});

trying('a missing directory', () => {
  inTemporaryDirectory((root) => assert.is(tryWrite(path.join(root, 'none')), 'ENOENT'));
});

tryingIn('a file instead of a directory', (root) => {
  writeFiles(root, { a: '' });
  assert.is(tryWrite(path.join(root, 'a')), 'ENOTDIR');
});

const module = path.join(import.meta.dirname, '../../../../agent/system/probe/write.ts');
for (const [title, commands, expected] of [
  ['a read-only mount', 'mount -t tmpfs -o ro x "$1"', 'EROFS'],
  [
    'a read-only bind of a writable file system',
    'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"',
    'EROFS',
  ],
  ['a writable mount', 'mount -t tmpfs x "$1"', 'OK'],
  ['a full file system', 'mount -t tmpfs -o size=4k,nr_inodes=1 x "$1"', 'ENOSPC'],
] as const) {
  trying(title, () => {
    inTemporaryDirectory((root) => {
      const program = `import { tryWrite } from '${module}'; process.stdout.write(tryWrite('${root}'))`;
      const { stdout, stderr } = spawnSync(
        'unshare',
        [
          ...['--mount', '--propagation', 'private'],
          ...['sh', '-c', `${commands}; exec "$2" --input-type=module -e "$3"`],
          ...['sh', root, process.execPath, program],
        ],
        { encoding: 'utf8' },
      );
      assert.match(stdout, new RegExp(`^(${expected})$`), stderr);
    });
  });
}
trying.run();
