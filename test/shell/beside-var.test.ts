import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { StackFixture } from '../harness/sysfs.ts';
import { boot } from './boot.ts';
import { shells } from './shells.ts';

const vdb = { name: 'vdb', device: '252:16', bus: 'virtio-blk' } as const;
const config = { 'sysroot/etc/immutafs/immutafs.conf': 'VAR_SIZE=8m\nVAR_INODES=5000\n' };

/** A file system on a loop device that in /sys is the disk `on`, with a line in the root's fstab. */
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
  const beside = suite(`${name}: what is mounted beside /var`);
  for (const [title, on, line, expected] of [
    ['on the read-only disk', 'vda1', '/boot ext4 nosuid', ['/sysroot/boot ext4 ro,nosuid']],
    ['on a writable disk', 'vdb', '/boot ext4 defaults', []],
    ['below another', 'vda1', '/srv/a ext4 defaults', []],
    ['of no use to the boot', 'vda1', '/boot ext4 defaults,noauto', []],
    ['when somebody looks', 'vda1', '/boot ext4 defaults,x-systemd.automount', []],
    ['of a type without a log', 'vda1', '/boot vfat defaults', []],
    ['a /var of its own', 'vda1', '/var ext4 defaults', []],
    ['refused: left to systemd', 'vda1', '/boot xfs defaults', []],
  ] as const) {
    beside(`${title}: ${line}`, () => {
      const { made, code } = boot({ shell, devices: [vdb], files: config, before: other(on, line) });
      assert.equal(
        made.filter((mount) => /^\/sysroot\/(boot|srv)/.test(mount)),
        expected,
      );
      assert.is(code, 0);
    });
  }
  beside.run();

  const lvm = suite(`${name}: lvm is told what is read-only`);
  const volumes = [
    volume(1, 'vda2', 'rhel-root'),
    volume(2, 'vda2', 'my--vg---a--b--c'),
    volume(3, 'vda2', 'rhel-pool_tmeta', '-tmeta'),
    volume(4, 'vdb', 'rhel-home'),
    { name: 'dm-5', device: '253:5', on: ['vda2'], dm: { name: 'luks-1', uuid: 'CRYPT-LUKS2-1' } },
  ];
  const own = { 'sysroot/etc/lvm/lvmlocal.conf': 'config {\n}\n' };
  const told = (disk: 'sealed' | 'writable', files = {}) =>
    boot({
      ...{ shell, disk, devices: [vdb, ...volumes], files: { ...config, ...files } },
      after: 'cat /sysroot/etc/lvm/lvmlocal.conf',
    });
  const bound = (made: string[]) => made.filter((mount) => mount.includes('lvmlocal'));

  lvm('the volumes of which every disk is, by their names', () => {
    const { made, after } = told('sealed', own);
    assert.equal(bound(made), ['/sysroot/etc/lvm/lvmlocal.conf tmpfs ro,nosuid,nodev,noexec mode=755']);
    assert.is(
      after,
      'config {\n}\n# immutafs: the host made these read-only\n' +
        'activation {\n\tread_only_volume_list = [ "rhel/root", "my-vg-/a-b-c" ]\n}\n',
    );
  });
  lvm('not in maintenance', () => assert.equal(bound(told('writable', own).made), []));
  const missing = (bootEnv: string[]) => bootEnv.filter((line) => line.startsWith('WARNING='));
  lvm('a root without the file to bind over: said', () => {
    const { made, bootEnv } = told('sealed', { 'sysroot/etc/lvm/lvm.conf': '' });
    assert.equal(bound(made), []);
    assert.equal(missing(bootEnv), [
      'WARNING=there is no /etc/lvm/lvmlocal.conf, which may be empty: lvm is not told what is read-only, and may fail to activate it',
    ]);
  });
  for (const [title, disk, files] of [
    ['in maintenance nothing', 'writable', { 'sysroot/etc/lvm/lvm.conf': '' }],
    ['a root without LVM needs nothing', 'sealed', {}],
  ] as const) {
    lvm(`${title}, not even a word`, () => {
      const { made, bootEnv } = told(disk, files);
      assert.equal([bound(made), missing(bootEnv)], [[], []]);
    });
  }
  lvm.run();
}
