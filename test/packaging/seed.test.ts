/**
 * immutafs-boot copies and applies a seed, with real mounts and files. Which seed it uses is tested in Node
 * (test/unit/boot/seed.test.ts).
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cdromInfo } from '../harness/disk-scenarios.ts';
import { mountOverlay } from '../shell/shells.ts';
import { runInSandbox } from '../shell/sandbox.ts';

/** Runs lines of bash in a guest with a CD whose content is the directory /content; `seed COMMAND…` runs immutafs-boot. */
function inGuest({ content, cloudInit = true, run }: { content: string; cloudInit?: boolean; run: string }) {
  const { code, stdout, stderr, out } = runInSandbox({
    shell: ['dash'],
    devices: [{ name: 'sr0', device: '11:0', bus: 'ata', vendor: 'QEMU' }],
    files: {
      'etc/immutafs/immutafs.conf': 'SEED_TIMEOUT=1\n',
      'run/immutafs/boot.env': 'MODE=sealed\n',
      'run/udev/data/b11:0': 'E:ID_FS_LABEL_ENC=cidata\nE:ID_FS_TYPE=iso9660\n',
      cdrom: cdromInfo('sr0'),
      'content/meta-data': 'instance-id: a\n',
      'content/user-data': '#cloud-config\n',
      'content/immutafs/hostname': 'web1\n',
    },
    run: `
set -e
mount -t tmpfs x /proc/sys; mkdir -p /proc/sys/kernel /proc/sys/dev/cdrom; : >/proc/sys/kernel/hostname; cp /cdrom /proc/sys/dev/cdrom/info
printf '#!/bin/sh\\n' >/usr/sbin/udevadm; chmod +x /usr/sbin/udevadm
${cloudInit ? 'touch' : 'rm -f'} /usr/lib/systemd/system/cloud-init-local.service
cp -R /etc /etc.lower; ${mountOverlay('/etc')}; cp -R /etc.lower/. /etc
mkdir -p /var; mount -t tmpfs x /var; mkdir /var/lower /var/upper /var/work
mount -t overlay -o lowerdir=/var/lower,upperdir=/var/upper,workdir=/var/work x /var
truncate -s 1m /sr0.img; mount -t sysfs sys /sys
loop=$(losetup -f --show /sr0.img); rm -f /dev/sr0; mknod /dev/sr0 b 7 \${loop#/dev/loop}; exec 7<$loop; losetup -d $loop
umount /sys
cd /content; ${content}
cd /
seed() { /usr/libexec/immutafs/immutafs-boot "$@"; }
set +e
${run}
sed -n 's/^SEED=//p' /run/immutafs/boot.env | tail -n 1 >/out/record
exit 0`,
  });
  assert.is(code, 0, stderr);
  return { stdout, stderr, record: (out['record'] ?? '').trimEnd() };
}

const expected = `sum=$( (cd /run/immutafs/seed/nocloud && sha256sum -- *
[ ! -d ../files ] || { cd ../files && sha256sum -- *; }) | sha256sum); echo \${sum%% *}`;

const test = suite('seed');
test('the checksum is that of sha256sum, for files of all lengths and with all bytes', () => {
  for (const size of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 65536, 65537, 1048576]) {
    const { record, stdout } = inGuest({
      content: `head -c ${size} /dev/urandom >user-data`,
      run: `seed seed; ${expected}; cmp /content/user-data /run/immutafs/seed/nocloud/user-data && echo same`,
    });
    const [sum, same] = stdout.trimEnd().split('\n');
    assert.is(record, `accepted sr0 ${sum} sr0:1:cd-rom`, `${size}`);
    assert.is(same, 'same');
  }
});
test('no mount of the seed remains, and the copy is for root alone', () => {
  const { stdout } = inGuest({
    content: 'chmod 777 user-data',
    run: `umask 0; seed seed; findmnt -rn -o TARGET | grep seed; stat -c '%a %n' /run/immutafs/seed /run/immutafs/seed/nocloud/*; ls /run/immutafs/seed`,
  });
  assert.is(
    stdout,
    `700 /run/immutafs/seed\n600 /run/immutafs/seed/nocloud/meta-data\n600 /run/immutafs/seed/nocloud/user-data\nnocloud\nready\n`,
  );
});
for (const [title, content, reason] of [
  ['a FIFO', 'rm user-data; mkfifo user-data', 'user-data of the seed is not a file'],
  ['a device', 'rm user-data; mknod user-data c 1 5', 'user-data of the seed is not a file'],
  [
    'a socket',
    `python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("vendor-data")'`,
    'vendor-data of the seed is not a file',
  ],
  ['a symbolic link', 'ln -s /etc/shadow vendor-data', 'vendor-data of the seed is not a file'],
  ['a directory', 'mkdir network-config', 'network-config of the seed is not a file'],
  [
    'a sparse file of 8 EiB',
    'truncate -s 8000P vendor-data 2>/dev/null || truncate -s 100G vendor-data',
    'vendor-data of the seed is larger than 1048576 bytes',
  ],
  [
    'a link in place of the directory of plain files',
    'rm -r immutafs; ln -s /etc/ssh immutafs',
    'immutafs of the seed is a symbolic link',
  ],
] as const) {
  test(`hostile: ${title}`, () => {
    const { record, stdout, stderr } = inGuest({
      ...{ content, cloudInit: false },
      run: 'seed seed; echo $?; ls /run/immutafs/seed/ready 2>/dev/null; touch /etc/x && echo open',
    });
    assert.equal([record, stdout], [`refused ${reason}`, '0\nopen\n'], stderr);
  });
}
test('plain files replace links of the image, and /etc is closed when nothing writes to it', () => {
  const { record, stdout, stderr } = inGuest({
    cloudInit: false,
    content:
      'echo key >immutafs/ssh_host_rsa_key; mkdir -p /etc/ssh; ln -sf /etc/target /etc/hostname; echo old >/etc/target',
    run: `seed seed; ${expected}; cat /etc/hostname /etc/target /proc/sys/kernel/hostname; stat -c '%a %u' /etc/ssh/ssh_host_rsa_key
      sha256sum -c /run/immutafs/seed/applied; exec 5>/etc/open; (sleep 2) & (sleep 2; touch /run/closed) & exec 6>&5 5>&-
      { sleep 2; } 6>&- & seed seed-finish 6>&-  & sleep 2.5; touch /etc/y && echo open; exec 6>&-; wait; touch /etc/z; seed seed-finish; echo $?`,
  });
  const [sum, ...lines] = stdout.trimEnd().split('\n');
  assert.is(record, `accepted sr0 ${sum} sr0:1:cd-rom`);
  assert.equal(lines, [
    ...['web1', 'old', 'web1', '600 0', '/etc/hostname: OK', '/etc/ssh/ssh_host_rsa_key: OK'],
    ...['open', '0'],
  ]);
  assert.match(stderr, /touch: .*\/etc\/z.*Read-only file system/);
});
test('the disk of the copy is full while /etc is written: /etc is closed', () => {
  const { record, stderr } = inGuest({
    cloudInit: false,
    content: 'head -c 500000 /dev/zero >immutafs/ifcfg-eth0',
    run: `mount -o remount,size=64k /layers; seed seed; touch /etc/x`,
  });
  assert.match(record, /^incomplete \/etc\/sysconfig\/network-scripts\/ifcfg-eth0: No space left on device$/);
  assert.match(stderr, /touch: .*Read-only file system/);
});
test('killed while it searches: recorded', () => {
  const { record } = inGuest({
    content: 'true',
    run: `printf '#!/bin/sh\\nexec sleep 60\\n' >/usr/sbin/udevadm; timeout -s KILL 1 /usr/libexec/immutafs/immutafs-boot seed; seed seed-ended 2>/dev/null`,
  });
  assert.is(record, 'refused the search for a seed was killed before it was complete');
});
test.run();
