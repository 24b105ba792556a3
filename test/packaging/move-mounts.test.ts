/** The commands of immutafs-boot that the agent runs while it moves data, on real mounts. */
import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootProgram, buildBootProgram } from '../../packaging/build/boot-program.ts';

await buildBootProgram();

/**
 * Runs lines of sh in a mount namespace with a tmpfs on /mnt, where $boot is the program.
 * @returns the output of the lines, then the target, options and optional fields of each mount below /mnt
 */
function inNamespace(script: string): string[] {
  const run = `exec 2>&1; set -u; mount -t tmpfs -o mode=0700 x /run; mount -t tmpfs x /mnt
    mount --make-shared /mnt; mkdir /mnt/a /mnt/b; echo old >/mnt/a/x; rm -rf /run/mount
    ${script}
    while read -r _ _ _ _ target options rest; do
      case $target in /mnt/[abc] | /mnt/c/*) ;; *) continue ;; esac
      case $rest in shared:*) options="$options shared" ;; esac
      echo "$target $options"
    done </proc/self/mountinfo`;
  const text = execFileSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', run], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], boot: bootProgram },
  });
  return text.trimEnd().split('\n');
}

const directory = suite('make-directory');
directory('only root can enter it, also if it exists', () => {
  assert.equal(
    inNamespace(`umask 0; chown 3:4 /mnt/a; chmod 2777 /mnt/a
      for each in /mnt/a /mnt/new; do $boot make-directory $each; stat -c '%a %u:%g' $each; done`),
    ['700 0:0', '700 0:0'],
  );
});
directory('with the owner, mode and access control lists of another one, also if it exists', () => {
  assert.equal(
    inNamespace(`chown 3:4 /mnt/a; chmod 2750 /mnt/a; setfacl -m u:5:rx /mnt/a
      for each in /mnt/b /mnt/new; do
        $boot make-directory $each /mnt/a; stat -c '%a %u:%g' $each; getfacl -cnp $each | grep user:5
      done`),
    ['2750 3:4', 'user:5:r-x', '2750 3:4', 'user:5:r-x'],
  );
});
directory.run();

const view = suite('view');
const made = '/mnt/c/v ro,nosuid,relatime shared';
view('a mount with the options in a peer group of its own, which only root can enter', () => {
  assert.equal(
    inNamespace(`umask 0; $boot view ro,nosuid /mnt/a /mnt/c/v; echo $?; stat -c %a /mnt/c; cat /mnt/c/v/x; touch /mnt/c/v/y
      mount -t tmpfs x /mnt/a; ls /mnt/c/v`),
    [
      ...['0', '700', 'old', "touch: cannot touch '/mnt/c/v/y': Read-only file system", 'x'],
      ...[made, '/mnt/a rw,relatime shared'],
    ],
  );
});
view('changes the mount table once, because systemd delays mount units after several changes', () => {
  assert.equal(
    inNamespace(`strace -o /mnt/trace -e trace=mount,umount2,move_mount $boot view ro,nosuid /mnt/a /mnt/c/v
      grep -o '^[a-z0-9_]*(' /mnt/trace`),
    ['move_mount(', made],
  );
});
for (const missing of ['open_tree', 'mount_setattr', 'move_mount']) {
  view(`on a kernel without ${missing}`, () => {
    assert.equal(
      inNamespace(`strace -o /mnt/trace -e trace=mount,${missing} -e inject=${missing}:error=ENOSYS $boot view ro,nosuid /mnt/a /mnt/c/v
        echo $?; ls /run/immutafs; grep -c INJECTED /mnt/trace`),
      ['0', '1', made],
    );
  });
}
view.run();

const volume = suite('volume');
volume('with the options; a file system that cannot be mounted is reported', () => {
  assert.equal(
    inNamespace(`$boot volume nosuid,nodev tmpfs none /mnt/c/v; echo $?; stat -c %a /mnt/c
      $boot volume nosuid none none /mnt/c/w; echo $?`),
    [
      ...['0', '700', 'immutafs-boot: /mnt/c/w: No such device', '3'],
      '/mnt/c/v rw,nosuid,nodev,relatime shared',
    ],
  );
});
volume.run();

const paths = suite('paths');
for (const [title, make, path, reason] of [
  ['a symbolic link', 'ln -s a /mnt/link', '/mnt/link', '/mnt/link is a symbolic link'],
  ['a symbolic link above it', 'ln -s . /mnt/link', '/mnt/link/a', '/mnt/link is a symbolic link'],
  ['a file', 'touch /mnt/f', '/mnt/f', '/mnt/f is not a directory'],
  ['a file above it', 'touch /mnt/f', '/mnt/f/x', '/mnt/f is not a directory'],
] as const) {
  paths(`${title} is refused, with a reason that names it, and nothing is mounted`, () => {
    for (const words of [
      `make-directory ${path}`,
      `make-directory /mnt/c ${path}`,
      `view ro ${path} /mnt/c/v`,
      `view ro /mnt/a ${path}`,
      `volume nosuid tmpfs none ${path}`,
    ]) {
      const [text, ...more] = inNamespace(`${make}; $boot ${words}; echo $?; stat -c %a /mnt/a`);
      assert.equal([text, ...more], [`immutafs-boot: ${reason}`, '3', '755'], words);
    }
  });
}
paths('one that does not exist, or is not absolute', () => {
  assert.equal(inNamespace('$boot view ro /mnt/none /mnt/c/v; echo $?; $boot make-directory x; echo $?'), [
    ...['immutafs-boot: /mnt/none does not exist', '3'],
    ...['immutafs-boot: x is not an absolute path', '2'],
  ]);
});
paths.run();
