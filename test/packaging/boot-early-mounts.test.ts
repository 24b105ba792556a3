/** What the initramfs mounts besides /var (boot/initramfs/early-mounts.ts). */
import * as assert from 'uvu/assert';
import type { StackFixture } from '../harness/sysfs.ts';
import { bootIn, config, small } from '../shell/initramfs.ts';
import { inNamespace } from '../shell/shells.ts';

const vdb = { name: 'vdb', device: '252:16', bus: 'virtio-blk' } as const;

/**
 * Returns lines of bash that make a file system on a loop device, which is on the device `on` according to /sys, and
 * add lines for it to the root's fstab.
 */
const other = (on: string, lines: readonly string[]) => `
  truncate -s 8m /${on}
  mkfs.ext4 -q /${on}
  mkdir -p /mounted/${on} ${lines.map((line) => `/sysroot${line.split(' ')[0]}`).join(' ')} /dev/disk
  /usr/bin/mount -t sysfs sys /sys
  /usr/bin/mount -o loop,ro /${on} /mounted/${on}
  /usr/bin/umount /sys
  device=$(findmnt -n -o SOURCE /mounted/${on})
  ln -s "$(readlink /sys/class/block/${on})" "/sys/class/block/\${device##*/}"
  ${lines.map((line) => `echo "$device ${line} 0 0" >>/sysroot/etc/fstab`).join('\n')}
`;

const uuid = `LVM-${'a'.repeat(64)}`;
const volume = (number: number, on: string, name: string, suffix = ''): StackFixture => ({
  ...{ name: `dm-${number}`, device: `253:${number}`, on: [on] },
  dm: { name, uuid: uuid + suffix },
});

inNamespace('early mounts', (test, shell) => {
  const boot = bootIn(shell);
  test('file systems directly below / are mounted if they have a log and are on the read-only disk', () => {
    const lines = [
      '/boot ext4 nosuid',
      '/below/another ext4 defaults',
      '/noauto ext4 defaults,noauto',
      '/automount ext4 defaults,x-systemd.automount',
      '/without-log vfat defaults',
      '/var ext4 defaults',
      '/mount-fails xfs defaults',
    ];
    const { made, code } = boot({
      ...{ devices: [vdb], files: config(small) },
      before: other('vda1', lines) + other('vdb', ['/writable ext4 defaults']),
    });
    assert.equal(made, ['/sysroot/boot ext4 ro,nosuid']);
    assert.is(code, 0);
  });

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
      ...{ disk, devices: [vdb, ...volumes], files: { ...config(small), ...files } },
      after: 'cat /sysroot/etc/lvm/lvmlocal.conf',
    });
  const bound = (made: string[]) => made.filter((mount) => mount.includes('lvmlocal'));

  test('the volumes whose disks are all read-only, by name', () => {
    const { made, after } = bootWithLvm('sealed', own);
    assert.equal(bound(made), ['/sysroot/etc/lvm/lvmlocal.conf tmpfs ro,nosuid,nodev,noexec mode=755']);
    assert.is(
      after,
      'config {\n}\n# immutafs: the host made these read-only\n' +
        'activation {\n\tread_only_volume_list = [ "rhel/root", "my-vg-/a-b-c" ]\n}\n',
    );
  });
  test('in maintenance, nothing is bound', () => assert.equal(bound(bootWithLvm('writable', own).made), []));
  const warnings = (bootEnv: string[]) => bootEnv.filter((line) => line.startsWith('WARNING='));
  test('lvmlocal.conf is a symbolic link, as the initramfs would resolve it: nothing is bound, and a warning', () => {
    const link = {
      'sysroot/etc/lvm/lvmlocal.conf': { linkTo: 'other.conf' },
      'sysroot/etc/lvm/other.conf': 'x\n',
    };
    const { made, bootEnv } = bootWithLvm('sealed', link);
    assert.equal(
      made.filter((mount) => mount.includes('/etc/lvm')),
      [],
    );
    assert.ok(
      bootEnv.some((line) => line.startsWith('WARNING=/etc/lvm/lvmlocal.conf: the bind mount failed: LVM ')),
    );
  });
  test('a root without lvmlocal.conf: a warning', () => {
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
    test(`${title}: no file, no warning`, () => {
      const { made, bootEnv } = bootWithLvm(disk, files);
      assert.equal([bound(made), warnings(bootEnv)], [[], []]);
    });
  }
});

const options = 'SystemdOptions-8cf2644b-4b0b-428f-9387-6d876050dc67';
const efivars = 'sys/firmware/efi/efivars';
const attributes = '\x07\0\0\0';
const variable = { [`${efivars}/${options}`]: `${attributes}s\0y\0` };
const copy = { [`run/systemd/efivars/${options}`]: 'systemd.run=/bin/false' };
const covered = `/${efivars} tmpfs ro,nosuid,nodev,noexec size=4k,mode=555`;
const warning =
  'WARNING=the EFI variable SystemdOptions is set, which adds kernel arguments: the rest of the boot does not see it';

inNamespace('the EFI variable SystemdOptions', (test, shell) => {
  const boot = bootIn(shell);
  const list = `ls /${efivars}; cat /run/systemd/efivars/* 2>/dev/null; echo .`;
  const run = (files: Record<string, string>, disk: 'sealed' | 'writable' = 'sealed') =>
    boot({ disk, files: { ...config(small), ...files }, after: list });

  for (const [title, files] of [
    ['in the firmware', variable],
    ['in the copy that PID 1 of the initramfs made', { ...copy, [`${efivars}/BootOrder-x`]: attributes }],
    ['in both', { ...variable, ...copy }],
  ] as const) {
    test(`${title}: systemd of the real root finds no variable and no copy`, () => {
      const booted = run(files);
      assert.is(booted.after, '.\n');
      assert.ok(booted.made.includes(covered), booted.made.join('\n'));
      assert.ok(booted.bootEnv.includes(warning), booted.bootEnv.join('\n'));
      assert.is(booted.code, 0);
    });
  }

  test('a copy that cannot be emptied: recorded, and the boot goes on', () => {
    const booted = boot({
      files: { ...config(small), ...variable, ...copy, 'sysroot/var/log/x': '' },
      before: `cd /run/systemd/efivars; mount --bind ${options} ${options}; mount -o remount,bind,ro ${options}; cd /`,
      after: 'findmnt -n -o OPTIONS /sysroot/var/log',
    });
    assert.ok(
      booted.bootEnv.includes(warning.replace(/the rest .*/, 'it could not be hidden and is in effect')),
    );
    assert.is(booted.code, 0);
    assert.match(booted.after, 'noexec', 'MOUNT_OPTIONS is set after this step');
  });

  test('in maintenance, the variable is not changed', () => {
    const booted = run({ ...variable, ...copy }, 'writable');
    assert.is(booted.after, `${options}\nsystemd.run=/bin/false.\n`);
    assert.equal(booted.made, []);
  });

  test('without the variable, efivarfs stays visible', () => {
    const booted = run({ [`${efivars}/BootOrder-x`]: attributes });
    assert.is(booted.after, 'BootOrder-x\n.\n');
    assert.not(booted.made.includes(covered));
    assert.not(booted.bootEnv.some((line) => line.startsWith('WARNING=')));
  });
});
