import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInBox } from './box.ts';
import { shells } from './shells.ts';
import type { DiskFixture } from '../support/sysfs.ts';

/** Not busybox: it prefers its own mount to what PATH has. */
const shimmed = Object.entries(shells).filter(([name]) => !name.startsWith('busybox'));
const shim = (text: string) => `#!/bin/bash\nset -f\n${text}\n`;
const path0 = 'chmod +x /shims/*; PATH=/shims:$PATH; export PATH\n';
const script = (name: string) => `sh /usr/libexec/immutafs/${name}`;
const vda = (offered: boolean): DiskFixture => ({
  name: 'vda',
  device: '252:0',
  bus: 'virtio-blk',
  offered,
  partitions: { vda1: '252:1', vda2: '252:2' },
});
const vdb: DiskFixture = { name: 'vdb', device: '252:16', bus: 'virtio-blk' };

for (const [name, shell] of shimmed) {
  const propagate = suite(`${name}: propagate-readonly`);
  const setro = (devices: Parameters<typeof runInBox>[0]['devices'], device = 'dm-0') =>
    runInBox({
      shell,
      devices: devices ?? [],
      files: { 'shims/none': '', 'usr/libexec/immutafs/set-readonly': shim('echo "$@" >>/out/said') },
      run: `chmod +x /usr/libexec/immutafs/set-readonly; ${path0}${script('propagate-readonly')} ${device}`,
    });
  for (const [title, devices, expected] of [
    ['on a sealed disk', [vda(true), { name: 'dm-0', device: '253:0', on: ['vda2'] }], '/dev/dm-0\n'],
    ['on a writable disk', [vda(false), { name: 'dm-0', device: '253:0', on: ['vda2'] }], undefined],
    [
      'on two disks, one of them sealed',
      [vda(true), vdb, { name: 'dm-0', device: '253:0', on: ['vda2', 'vdb'] }],
      undefined,
    ],
    [
      'on a stack on a sealed disk',
      [
        vda(true),
        { name: 'dm-1', device: '253:1', on: ['vda2'] },
        { name: 'dm-0', device: '253:0', on: ['dm-1'] },
      ],
      '/dev/dm-0\n',
    ],
    ['a device that is gone', [vda(true)], undefined],
  ] as const) {
    propagate(title, () => {
      const { code, out, stderr } = setro(devices);
      assert.is(out['said'], expected);
      assert.equal([code, stderr], [0, '']);
    });
  }
  propagate.run();

  const lvm = suite(`${name}: lvm-readonly`);
  const sda = (readOnly: boolean): DiskFixture => ({
    name: 'sda',
    device: '8:0',
    bus: 'virtio-scsi',
    readOnly,
    partitions: { sda2: '8:2' },
  });
  const sdb: DiskFixture = { name: 'sdb', device: '8:16', bus: 'virtio-scsi' };
  const pvs = '  /dev/sda2 rhel\n  /dev/sda \n  /dev/sdb data\n';
  for (const [title, readOnly, before, expected] of [
    [
      'the groups on a read-only disk, no others',
      true,
      undefined,
      '# immutafs: the host made these read-only\nactivation {\n\tread_only_volume_list = [ "rhel" ]\n}\n',
    ],
    [
      'what is there is kept',
      true,
      'devices {\n}\n',
      'devices {\n}\n# immutafs: the host made these read-only\nactivation {\n\tread_only_volume_list = [ "rhel" ]\n}\n',
    ],
    ['no disk is read-only', false, undefined, undefined],
  ] as const) {
    lvm(title, () => {
      const { code, out } = runInBox({
        shell,
        devices: [sda(readOnly), sdb],
        files: {
          'shims/lvm': shim(`cat <<'EOF'\n${pvs}EOF`),
          ...(before === undefined ? {} : { 'etc/lvm/lvmlocal.conf': before }),
        },
        run: `${path0}${script('lvm-readonly')}; code=$?
          cp /etc/lvm/lvmlocal.conf /out/etc 2>/dev/null; cp /run/immutafs/lvmlocal.conf /out/run 2>/dev/null; exit $code`,
      });
      assert.is(code, 0);
      assert.is(out['etc'], expected);
      assert.is(out['run'], expected);
    });
  }
  lvm.run();

  const root = suite(`${name}: mount-readonly`);
  const mountRoot = (cmdline: string, offered: boolean, mount: string) =>
    runInBox({
      shell,
      devices: [vda(offered)],
      files: { 'proc/cmdline': `${cmdline}\n`, 'shims/mount': shim(`echo "$@" >>/out/said\n${mount}`) },
      // A node that is a block device, and in sysfs is our disk.
      run: `${path0}ln -s "$(readlink /sys/class/block/vda2)" /sys/class/block/loop7
        mkdir -p /dev/disk; ${script('mount-readonly')}`,
    });
  for (const [title, cmdline, offered, mount, expected] of [
    ['a sealed disk', 'root=/dev/loop7 rw', true, 'exit 0', '-o ro /dev/loop7 /sysroot\n'],
    [
      'with what the command line says',
      'root=/dev/loop7 rootflags=noatime rootfstype=xfs ro',
      true,
      'exit 0',
      '-o noatime,ro -t xfs /dev/loop7 /sysroot\n',
    ],
    [
      'quotes in the command line',
      'foo="bar root=/dev/vda1 baz" root="/dev/loop7" rootflags="noatime" x="y rootfstype=ext4"',
      true,
      'exit 0',
      '-o noatime,ro /dev/loop7 /sysroot\n',
    ],
    [
      'a log that cannot be replayed',
      'root=/dev/loop7',
      true,
      'case $* in *norecovery*) exit 0 ;; *) exit 32 ;; esac',
      '-o ro /dev/loop7 /sysroot\n-o ro,norecovery /dev/loop7 /sysroot\n',
    ],
    [
      'nothing helps: left to systemd',
      'root=/dev/loop7',
      true,
      'exit 32',
      '-o ro /dev/loop7 /sysroot\n-o ro,norecovery /dev/loop7 /sysroot\n',
    ],
    ['a writable disk: left to systemd', 'root=/dev/loop7', false, 'exit 0', undefined],
    ['no root= at all', 'quiet', true, 'exit 0', undefined],
    ['a root from the network', 'root=nfs:server:/x', true, 'exit 0', undefined],
    ['a disk that is not there', 'root=UUID=0', true, 'exit 0', undefined],
  ] as const) {
    root(title, () => {
      const { code, out } = mountRoot(cmdline, offered, mount);
      assert.is(out['said'], expected);
      assert.is(code, 0);
    });
  }
  root('without its log: the warning names /', () => {
    const { stderr } = mountRoot(
      'root=/dev/loop7',
      true,
      'case $* in *norecovery*) exit 0 ;; *) exit 32 ;; esac',
    );
    assert.match(stderr, 'immutafs: warning: / is mounted with norecovery');
  });
  root.run();

  const hook = suite(`${name}: immutafs-pre-pivot.sh is sourced`);
  const source = (code: number, files: Record<string, string> = {}) =>
    runInBox({
      shell,
      files: {
        ...files,
        'assemble-var': shim(`[ "$*" = "initramfs /sysroot" ] && exit ${code}; exit 99`),
        'shims/systemctl': shim('echo systemctl "$@"'),
        'hook.sh': `emergency_shell() { echo emergency "$@"; }\nNEWROOT=/sysroot\n. /usr/libexec/immutafs/95immutafs/immutafs-pre-pivot.sh\necho after\n`,
      },
      run: `${path0}
        cp /assemble-var /usr/libexec/immutafs/assemble-var; chmod +x /usr/libexec/immutafs/assemble-var
        sh /hook.sh`,
    }).stdout;
  for (const [code, expected] of [
    [0, 'after\n'],
    [1, 'after\n'],
    [3, 'emergency -n immutafs immutafs: /var could not be assembled and ON_FAILURE=emergency\nafter\n'],
    [4, 'systemctl --force --force poweroff\nafter\n'],
  ] as const) {
    hook(`assemble-var answers ${code}`, () => assert.is(source(code), expected));
  }
  hook('after a crash, where kdump is at work, nothing is assembled', () => {
    // With a folder in the fixture, all of /proc is the fixture's.
    const proc = { 'proc/self/mountinfo': '' };
    assert.is(source(4, { ...proc, 'proc/vmcore': '' }), 'after\n');
    assert.is(source(4, proc), 'systemctl --force --force poweroff\nafter\n');
  });
  hook.run();
}
