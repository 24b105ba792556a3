/**
 * Tests `immutafs-boot save-rehearsal` on real file systems: the report reaches a root file system that is mounted read-only,
 * while no other process can write to it.
 */
import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildTestBootProgram, testBootProgram } from '../harness/boot-program.ts';

await buildTestBootProgram();

/**
 * Runs lines of bash in a chroot whose root is a loop file system that is mounted read-only. The program waits
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
cp "$1" opt
echo old >etc/immutafs/rehearsal/report.json
${before}
mount --bind /dev dev
mount --bind /usr usr
mount -t proc proc proc
mount -t tmpfs tmpfs run
mkdir run/immutafs
echo new >run/immutafs/rehearsal.json
echo pause >run/pause
mount -o remount,ro .
exec chroot . bash -c "$2"`;
  const inner = `export PATH=/usr/sbin:/usr/bin
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
    [...args, 'bash', '-c', outer, 'bash', testBootProgram, inner],
    {
      encoding: 'utf8',
      timeout: 60_000,
    },
  );
  assert.is(status, 0, stdout + stderr);
  return stdout + stderr;
}

const folder = '/etc/immutafs/rehearsal';
const refused = `/etc/x refused\n${folder}/x refused\n`;
const sealed = 'mount ro superblock ro\n';

/** Lines that run in the root, what they print, and lines that prepare the root. */
const cases: Record<string, [lines: string, expected: string | RegExp, before?: string]> = {
  'the report is saved; meanwhile and afterwards the mounts of other processes refuse writes': [
    `flags; /opt/immutafs-boot save-rehearsal & waiting; flags; writes; report; touch /run/go; wait $!; echo $?; flags; writes; report
     stat -c %a /etc/immutafs/rehearsal/report.json; ls -A /etc/immutafs/rehearsal`,
    `${sealed}mount ro superblock rw\n${refused}old\n0\n${sealed}${refused}new\n600\nreport.json\n`,
  ],
  'SIGTERM does not leave the superblock writable': [
    '/opt/immutafs-boot save-rehearsal & waiting; kill -TERM $!; touch /run/go; wait $!; echo $?; flags; report',
    `0\n${sealed}new\n`,
  ],
  'killed: the mounts still refuse writes, and `seal` makes the superblock read-only again': [
    `/opt/immutafs-boot save-rehearsal & waiting; kill -KILL $!; wait $! 2>/dev/null; flags; writes
     touch /run/go; sleep 0.5; /opt/immutafs-boot save-rehearsal seal; echo $?; flags; writes`,
    `mount ro superblock rw\n${refused}0\n${sealed}${refused}`,
  ],
  'if the report cannot be written, the old one remains': [
    `rm /run/immutafs/rehearsal.json; /opt/immutafs-boot save-rehearsal; echo $?; flags; report`,
    /^1\nmount ro superblock ro\nold\nsave-rehearsal: \S+report\.json cannot be written: \/run\/immutafs\/rehearsal\.json: No such file or directory\n$/,
  ],
  'a mount of the file system that is writable itself: nothing is saved': [
    `mkdir /run/rw; mount --bind /opt /run/rw; mount -o remount,bind,rw /run/rw
     touch /run/go; /opt/immutafs-boot save-rehearsal; echo $?; flags; report`,
    `1\n${sealed}old\nsave-rehearsal: /run/rw is mounted read-write, the report is not saved on the disk\n`,
  ],
  'a symbolic link in place of the folder: nothing is saved': [
    'touch /run/go; /opt/immutafs-boot save-rehearsal; echo $?; flags',
    `1\n${sealed}save-rehearsal: ${folder} is not a directory, the report is not saved on the disk\n`,
    'mv etc/immutafs/rehearsal opt/x; ln -s /opt/x etc/immutafs/rehearsal',
  ],
  'an overlay on /etc: the report is saved on the disk below it': [
    `mkdir /run/upper /run/work; mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work x /etc
     touch /run/go; /opt/immutafs-boot save-rehearsal; echo $?; flags; report; umount /etc; report`,
    `0\n${sealed}new\nnew\n`,
  ],
  'a file system on the folder: the report is saved on the disk below it': [
    `mount -t tmpfs x ${folder}; touch /run/go; /opt/immutafs-boot save-rehearsal; echo $?; flags; report 2>/dev/null || echo none
     umount ${folder}; report`,
    `0\n${sealed}none\nnew\n`,
  ],
};

for (const type of ['ext4', 'xfs']) {
  const save = suite(`save-rehearsal on ${type}`);
  for (const [title, [lines, expected, before]] of Object.entries(cases)) {
    save(title, () => {
      const output = inReadOnlyRoot(type, lines, before);
      if (typeof expected === 'string') assert.is(output, expected);
      else assert.match(output, expected);
    });
  }
  save.run();
}
