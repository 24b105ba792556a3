/** Tests the program make-mounts on real mounts. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildMakeMounts } from '../../packaging/build/small-programs.ts';
import { dist } from '../../packaging/build/paths.ts';

const program = path.join(dist, 'make-mounts');

/**
 * Runs lines of sh in a mount namespace with a tmpfs on /mnt, where $make is the program.
 * @returns the output of the lines, then the target, options and optional fields of each mount below /mnt
 */
function inNamespace(script: string): string[] {
  const run = `exec 2>&1; set -u; mount -t tmpfs x /mnt; mount --make-shared /mnt; mkdir /mnt/a /mnt/b
    echo old >/mnt/a/x
    ${script}
    while read -r _ _ _ _ target options rest; do
      case $target in /mnt/[abc] | /mnt/b/in) ;; *) continue ;; esac
      case $rest in shared:*) options="$options shared" ;; esac
      echo "$target $options"
    done </proc/self/mountinfo`;
  return execFileSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', run], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], make: program },
  })
    .trimEnd()
    .split('\n');
}

const mounts = suite('make-mounts');
mounts.before(buildMakeMounts);

mounts('directory: an existing one, too, gets the mode and the owner', () => {
  const set = (mode: string) => `$make directory ${mode} 3:4 /mnt/a directory 2550 0:0 /mnt/a/new; echo $?`;
  assert.equal(inNamespace(`umask 077; ${set('1777')}; stat -c '%a %u:%g' /mnt/a /mnt/a/new`), [
    '0',
    '1777 3:4',
    '2550 0:0',
  ]);
});
mounts('view: a private mount with the options', () => {
  assert.equal(inNamespace('$make view ro,nosuid /mnt/a /mnt/b; echo $?; cat /mnt/b/x; touch /mnt/b/y'), [
    '0',
    'old',
    "touch: cannot touch '/mnt/b/y': Read-only file system",
    '/mnt/b ro,nosuid,relatime',
  ]);
});
mounts('overlay: options and layers', () => {
  assert.equal(
    inNamespace(`mkdir /mnt/u /mnt/w
      $make overlay nodev,noexec,noatime, lowerdir=/mnt/a,upperdir=/mnt/u,workdir=/mnt/w /mnt/b; echo $?
      echo new >/mnt/b/x; cat /mnt/a/x /mnt/u/x`),
    ['0', 'old', 'new', '/mnt/b rw,nodev,noexec,noatime shared'],
  );
});
mounts('keep: a shared mount with the options, which is writable, and no stage remains', () => {
  assert.equal(
    inNamespace(`$make keep rw,nosuid,dev,noexec /mnt/a /mnt/b /mnt/stage; echo $?; ls /mnt
      mkdir /mnt/b/in && mount -t tmpfs x /mnt/b/in && ls /mnt/a/in; touch /mnt/b/y`),
    ['0', 'a', 'b', '/mnt/b rw,nosuid,noexec,relatime shared', '/mnt/b/in rw,relatime shared'],
  );
});
const kept = 'keep rw,nosuid,dev,noexec /mnt/a /mnt/b /mnt/stage';
mounts('keep: changes the mount table once, because systemd delays mount units after several changes', () => {
  assert.equal(
    inNamespace(
      `strace -o /mnt/trace -e trace=mount,umount2,move_mount $make ${kept}; grep -o '^[a-z0-9_]*(' /mnt/trace`,
    ),
    ['move_mount(', '/mnt/b rw,nosuid,noexec,relatime shared'],
  );
});
for (const missing of ['open_tree', 'mount_setattr', 'move_mount']) {
  mounts(`keep: on a kernel without ${missing}`, () => {
    assert.equal(
      inNamespace(`strace -o /mnt/trace -e trace=mount,${missing} -e inject=${missing}:error=ENOSYS $make ${kept}
        echo $?; ls /mnt; grep -c INJECTED /mnt/trace`),
      ['0', 'a', 'b', 'trace', '1', '/mnt/b rw,nosuid,noexec,relatime shared'],
    );
  });
}
mounts('several steps; the first one that fails ends the program', () => {
  assert.equal(
    inNamespace(`$make directory 0700 0:0 /mnt/c view ro /mnt/a /mnt/c view ro /mnt/none /mnt/b view ro /mnt/a /mnt/b
      echo $?`),
    ['1', '/mnt/c ro,relatime'],
  );
});
for (const step of ['keep ro /mnt/a /mnt/none /mnt/stage', 'keep ro /mnt/none /mnt/b /mnt/stage']) {
  mounts(`a failed step leaves nothing: ${step}`, () => {
    assert.equal(inNamespace(`$make ${step}; echo $?; ls /mnt`), ['1', 'a', 'b']);
  });
}
mounts('an unknown or incomplete step fails', () => {
  const steps = [
    'other ro /mnt/a /mnt/b',
    'view ro /mnt/a',
    'keep ro /mnt/a /mnt/b',
    'directory 0755 0 /mnt/a',
  ];
  for (const step of steps) assert.equal(inNamespace(`$make ${step}; echo $?`), ['1'], step);
});
mounts.run();
