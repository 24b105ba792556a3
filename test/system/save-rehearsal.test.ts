/**
 * Tests units/save-rehearsal on real file systems: the report reaches a root file system that is mounted read-only,
 * while no other process can write to it.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const project = path.join(import.meta.dirname, '../..');

/**
 * Runs lines of bash in a chroot whose root is a loop file system that is mounted read-only. dd is a program that waits
 * for /run/go, so that the lines can act while the superblock is writable.
 * @returns the output
 */
function inReadOnlyRoot(type: string, lines: string, before = ''): string {
  const outer = `set -e
mount -t tmpfs x /mnt
cd /mnt
mkdir root
truncate -s 400m image
mkfs.${type} -q image
mount -o loop image root
cd root
mkdir -p dev etc/immutafs/rehearsal proc run usr opt
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
chmod 0700 etc/immutafs/rehearsal
for file in "$1"/units/save-rehearsal "$1"/boot/*.sh; do
  sed 's,/usr/libexec/immutafs,/opt,' "$file" >"opt/\${file##*/}"
done
chmod +x opt/save-rehearsal
echo old >etc/immutafs/rehearsal/report.json
${before}
mount --bind /dev dev
mount --bind /usr usr
mount -t proc proc proc
mount -t tmpfs tmpfs run
mkdir run/immutafs run/bin
echo new >run/immutafs/rehearsal.json
printf '#!/bin/sh\\n: >/run/waiting\\nuntil [ -e /run/go ]; do sleep 0.05; done\\nexec /usr/bin/dd "$@"\\n' >run/bin/dd
chmod +x run/bin/dd
mount -o remount,ro .
exec chroot . bash -c "$2"`;
  const inner = `export PATH=/run/bin:/usr/sbin:/usr/bin
flags() { while read -r _ _ _ _ target mount rest; do
  [ "$target" != / ] || { rest=\${rest##* }; echo "mount \${mount%%,*} superblock \${rest%%,*}"; }
done </proc/self/mountinfo; }
writes() { for file in /etc/x /etc/immutafs/rehearsal/x; do (: >$file) 2>/dev/null && echo "$file written" || echo "$file refused"; done; }
waiting() { timeout 10 sh -c "until [ -e /run/waiting ]; do sleep 0.05; done"; }
report() { cat /etc/immutafs/rehearsal/report.json; }
${lines}`;
  const args = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private'];
  const { stdout, stderr, status } = spawnSync(
    'unshare',
    [...args, 'bash', '-c', outer, 'bash', project, inner],
    {
      encoding: 'utf8',
      timeout: 60_000,
    },
  );
  assert.is(status, 0, stdout + stderr);
  return stdout + stderr;
}

const refused = '/etc/x refused\n/etc/immutafs/rehearsal/x refused\n';

for (const type of ['ext4', 'xfs']) {
  const save = suite(`save-rehearsal on ${type}`);

  save('the report is saved; meanwhile and afterwards the mounts of other processes refuse writes', () => {
    const output = inReadOnlyRoot(
      type,
      `flags; /opt/save-rehearsal & waiting; flags; writes; report; touch /run/go; wait $!; echo $?; flags; writes; report
       stat -c %a /etc/immutafs/rehearsal/report.json; ls -A /etc/immutafs/rehearsal`,
    );
    const during = `mount ro superblock rw\n${refused}old\n`;
    const after = `0\nmount ro superblock ro\n${refused}new\n600\nreport.json\n`;
    assert.is(output, `mount ro superblock ro\n${during}${after}`);
  });

  save('SIGTERM does not leave the superblock writable', () => {
    const output = inReadOnlyRoot(
      type,
      `/opt/save-rehearsal & waiting; kill -TERM $!; touch /run/go; wait $!; echo $?; flags; report`,
    );
    assert.is(output, '0\nmount ro superblock ro\nnew\n');
  });

  save('killed: the mounts still refuse writes, and `seal` makes the superblock read-only again', () => {
    const output = inReadOnlyRoot(
      type,
      `/opt/save-rehearsal & waiting; kill -KILL $!; wait $! 2>/dev/null; flags; writes
       touch /run/go; sleep 0.5; /opt/save-rehearsal seal; echo $?; flags; writes`,
    );
    assert.is(output, `mount ro superblock rw\n${refused}0\nmount ro superblock ro\n${refused}`);
  });

  save('if the report cannot be written, the old one remains', () => {
    const output = inReadOnlyRoot(
      type,
      `printf '#!/bin/sh\\nexit 1\\n' >/run/bin/dd; /opt/save-rehearsal; echo $?; flags; report`,
    );
    assert.match(
      output,
      /^1\nmount ro superblock ro\nold\nsave-rehearsal: \S+report\.json cannot be written\n$/,
    );
  });

  save('a mount of the file system that is writable itself: nothing is saved', () => {
    const output = inReadOnlyRoot(
      type,
      `mkdir /run/rw; mount --bind /opt /run/rw; mount -o remount,bind,rw /run/rw
       touch /run/go; /opt/save-rehearsal; echo $?; flags; report`,
    );
    const reason = 'save-rehearsal: /run/rw is mounted read-write, the report is not saved on the disk';
    assert.is(output, `1\nmount ro superblock ro\nold\n${reason}\n`);
  });

  save('a symbolic link in place of the folder: nothing is saved', () => {
    const before = 'mv etc/immutafs/rehearsal opt/x; ln -s /opt/x etc/immutafs/rehearsal';
    const output = inReadOnlyRoot(type, 'touch /run/go; /opt/save-rehearsal; echo $?; flags', before);
    const reason = '/etc/immutafs/rehearsal is not a directory, the report is not saved on the disk';
    assert.is(output, `1\nmount ro superblock ro\nsave-rehearsal: ${reason}\n`);
  });

  for (const [title, mount, target] of [
    [
      'an overlay on /etc',
      'mkdir /run/upper /run/work; mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work x /etc',
      '/etc',
    ],
    ['a file system on the folder', 'mount -t tmpfs x /etc/immutafs/rehearsal', '/etc/immutafs/rehearsal'],
  ] as const) {
    save(`${title}: the report is saved on the disk below it`, () => {
      const output = inReadOnlyRoot(
        type,
        `${mount}; touch /run/go; /opt/save-rehearsal; echo $?; flags; report 2>/dev/null || echo none; umount ${target}; report`,
      );
      const shown = target === '/etc' ? 'new' : 'none';
      assert.is(output, `0\nmount ro superblock ro\n${shown}\nnew\n`);
    });
  }
  save.run();
}
