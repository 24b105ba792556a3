/** Tests the program set-mount-options on real mounts. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildSetMountOptions } from '../../packaging/build/small-programs.ts';
import { dist } from '../../packaging/build/paths.ts';

const program = path.join(dist, 'set-mount-options');

/**
 * Runs lines of sh in a mount namespace with a tmpfs on /mnt, where $set is the program.
 * @returns the output of the lines, then the target and options of each mount at and below /mnt
 */
function inNamespace(script: string, mountOptions = 'rw'): string[] {
  const run = `exec 2>&1; set -u; mount -t tmpfs -o ${mountOptions} x /mnt; mkdir -p /mnt/a /mnt/b
    ${script}
    while read -r _ _ _ _ target options _; do
      case $target in /mnt | /mnt/[ab]) echo "$target $options" ;; esac
    done </proc/self/mountinfo`;
  return execFileSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', run], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], set: program },
  })
    .trimEnd()
    .split('\n');
}

const options = suite('set-mount-options');
options.before(buildSetMountOptions);

options('a directory is bound to itself, and other options are kept', () => {
  assert.equal(inNamespace('$set noexec,nodev /mnt/a; echo $?', 'rw,noatime,nosuid'), [
    '0',
    '/mnt rw,nosuid,noatime',
    '/mnt/a rw,nosuid,nodev,noexec,noatime',
  ]);
});
options('a mount point is changed in place', () => {
  assert.equal(inNamespace('$set nosuid /mnt; $set noexec /mnt; echo $?'), [
    '0',
    '/mnt rw,nosuid,noexec,relatime',
  ]);
});
options('exec takes noexec back, and nothing else', () => {
  assert.equal(inNamespace('$set exec /mnt', 'rw,noexec,nosuid'), ['/mnt rw,nosuid,relatime']);
});
options('a read-only mount stays read-only', () => {
  assert.equal(inNamespace('mount -o remount,bind,ro /mnt; $set noexec /mnt'), ['/mnt ro,noexec,relatime']);
});
options('a path that does not exist is skipped', () => {
  assert.equal(inNamespace('$set noexec /mnt/none nosuid /mnt/b; echo $?'), [
    '0',
    '/mnt rw,relatime',
    '/mnt/b rw,nosuid,relatime',
  ]);
});
options('a failure names the path, and the other paths are set', () => {
  assert.equal(inNamespace('touch /mnt/f; $set noexec /mnt/f/x nodev /mnt/b; echo $?'), [
    'set-mount-options: /mnt/f/x: errno 020',
    '1',
    '/mnt rw,relatime',
    '/mnt/b rw,nodev,relatime',
  ]);
});
options('with noexec, a program cannot run', () => {
  const [before, after] = inNamespace(
    'cp /bin/true /mnt/a/x; /mnt/a/x; echo $?; $set noexec /mnt/a; (/mnt/a/x) 2>/dev/null; echo $?',
  );
  assert.equal([before, after], ['0', '126']);
});
options.run();
