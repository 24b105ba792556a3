import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { StackFixture } from '../harness/sysfs.ts';
import { boot } from './assemble-var.ts';
import { shells } from './shells.ts';

const vdb = { name: 'vdb', device: '252:16', bus: 'virtio-blk' } as const;
const config = { 'sysroot/etc/immutafs/immutafs.conf': 'VAR_SIZE=8m\nVAR_INODES=5000\n' };

/**
 * Returns lines of bash that make a file system on a loop device, which is on the device `on` according to /sys, and
 * add a line for it to the root's fstab.
 */
const other = (on: string, line: string) => `
  truncate -s 8m /other
  mkfs.ext4 -q /other
  mkdir -p /mounted /sysroot/boot /sysroot/srv/a /dev/disk
  /usr/bin/mount -t sysfs sys /sys
  /usr/bin/mount -o loop,ro /other /mounted
  /usr/bin/umount /sys
  device=$(findmnt -n -o SOURCE /mounted)
  ln -s "$(readlink /sys/class/block/${on})" "/sys/class/block/\${device##*/}"
  echo "$device ${line} 0 0" >>/sysroot/etc/fstab
`;

const uuid = `LVM-${'a'.repeat(64)}`;
const volume = (number: number, on: string, name: string, suffix = ''): StackFixture => ({
  ...{ name: `dm-${number}`, device: `253:${number}`, on: [on] },
  dm: { name, uuid: uuid + suffix },
});

for (const [name, shell] of Object.entries(shells)) {
  const mounts = suite(`${name}: file systems directly below / are mounted`);
  for (const [title, on, line, expected] of [
    ['on the read-only disk', 'vda1', '/boot ext4 nosuid', ['/sysroot/boot ext4 ro,nosuid']],
    ['on a writable disk', 'vdb', '/boot ext4 defaults', []],
    ['below another', 'vda1', '/srv/a ext4 defaults', []],
    ['noauto', 'vda1', '/boot ext4 defaults,noauto', []],
    ['an automount', 'vda1', '/boot ext4 defaults,x-systemd.automount', []],
    ['of a type without a log', 'vda1', '/boot vfat defaults', []],
    ['a separate /var', 'vda1', '/var ext4 defaults', []],
    ['mount fails: left to systemd', 'vda1', '/boot xfs defaults', []],
  ] as const) {
    mounts(`${title}: ${line}`, () => {
      const { made, code } = boot({ shell, devices: [vdb], files: config, before: other(on, line) });
      assert.equal(
        made.filter((mount) => /^\/sysroot\/(boot|srv)/.test(mount)),
        expected,
      );
      assert.is(code, 0);
    });
  }
  mounts.run();

  const lvm = suite(`${name}: the LVM configuration lists read-only volumes`);
  const volumes = [
    volume(1, 'vda2', 'rhel-root'),
    volume(2, 'vda2', 'my--vg---a--b--c'),
    volume(3, 'vda2', 'rhel-pool_tmeta', '-tmeta'),
    volume(4, 'vdb', 'rhel-home'),
    { name: 'dm-5', device: '253:5', on: ['vda2'], dm: { name: 'luks-1', uuid: 'CRYPT-LUKS2-1' } },
  ];
  const own = { 'sysroot/etc/lvm/lvmlocal.conf': 'config {\n}\n' };
  const bootWithLvm = (disk: 'sealed' | 'writable', files = {}) =>
    boot({
      ...{ shell, disk, devices: [vdb, ...volumes], files: { ...config, ...files } },
      after: 'cat /sysroot/etc/lvm/lvmlocal.conf',
    });
  const bound = (made: string[]) => made.filter((mount) => mount.includes('lvmlocal'));

  lvm('the volumes whose disks are all read-only, by name', () => {
    const { made, after } = bootWithLvm('sealed', own);
    assert.equal(bound(made), ['/sysroot/etc/lvm/lvmlocal.conf tmpfs ro,nosuid,nodev,noexec mode=755']);
    assert.is(
      after,
      'config {\n}\n# immutafs: the host made these read-only\n' +
        'activation {\n\tread_only_volume_list = [ "rhel/root", "my-vg-/a-b-c" ]\n}\n',
    );
  });
  lvm('in maintenance, nothing is bound', () => assert.equal(bound(bootWithLvm('writable', own).made), []));
  const warnings = (bootEnv: string[]) => bootEnv.filter((line) => line.startsWith('WARNING='));
  lvm('a root without lvmlocal.conf: a warning', () => {
    const { made, bootEnv } = bootWithLvm('sealed', { 'sysroot/etc/lvm/lvm.conf': '' });
    assert.equal(bound(made), []);
    assert.equal(warnings(bootEnv), [
      'WARNING=/etc/lvm/lvmlocal.conf does not exist (an empty file is enough): LVM does not know which volumes are read-only, and may fail to activate them',
    ]);
  });
  for (const [title, disk, files] of [
    ['in maintenance', 'writable', { 'sysroot/etc/lvm/lvm.conf': '' }],
    ['a root without LVM', 'sealed', {}],
  ] as const) {
    lvm(`${title}: no file, no warning`, () => {
      const { made, bootEnv } = bootWithLvm(disk, files);
      assert.equal([bound(made), warnings(bootEnv)], [[], []]);
    });
  }
  lvm.run();
}
