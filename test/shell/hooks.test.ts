import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInBox } from './box.ts';
import { shells } from './shells.ts';
import type { DiskFixture } from '../harness/sysfs.ts';

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
const sda = (readOnly: boolean): DiskFixture => ({
  name: 'sda',
  device: '8:0',
  bus: 'virtio-scsi',
  readOnly,
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
  const dm0 = (...on: string[]) => ({ name: 'dm-0', device: '253:0', on });
  for (const [title, devices, expected, answer, device] of [
    ['on a sealed disk', [vda(true), dm0('vda2')], '/dev/dm-0\n', 0],
    ['on a writable disk', [vda(false), dm0('vda2')], undefined, 1],
    ['on two disks, one of them sealed', [vda(true), vdb, dm0('vda2', 'vdb')], undefined, 1],
    ['read-only by a flag of the guest', [{ ...vda(false), readOnly: true }, dm0('vda2')], '/dev/dm-0\n', 1],
    ['its own flag does not count', [vda(false), { ...dm0('vda2'), readOnly: true }], undefined, 1],
    ['on a read-only SCSI disk', [sda(true), dm0('sda')], '/dev/dm-0\n', 0],
    [
      'on a read-only disk of a kind that a guest can make',
      [{ ...sda(true), name: 'nbd0' }, dm0('nbd0')],
      '/dev/dm-0\n',
      1,
    ],
    [
      'an array on sealed disks',
      [vda(true), sda(true), { ...dm0('vda2', 'sda'), name: 'md127' }],
      undefined,
      0,
      'md127',
    ],
    [
      'an array on one sealed disk',
      [vda(true), sda(false), { ...dm0('vda2', 'sda'), name: 'md127' }],
      undefined,
      1,
      'md127',
    ],
    [
      'on a stack on a sealed disk',
      [
        vda(true),
        { name: 'dm-1', device: '253:1', on: ['vda2'] },
        { name: 'dm-0', device: '253:0', on: ['dm-1'] },
      ],
      '/dev/dm-0\n',
      0,
    ],
    ['a device that is gone', [vda(true)], undefined, 1],
  ] as const) {
    propagate(title, () => {
      const { code, out, stderr } = setro(devices, device);
      assert.is(out['said'], expected);
      assert.equal([code, stderr], [answer, '']);
    });
  }
  propagate.run();

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
        // Where it would try once more, and not go on.
        'shims/sleep': shim('echo again; kill "$PPID"'),
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
    [
      5,
      'emergency -n immutafs immutafs: the system is mounted from an impostor of the sealed disk\nsystemctl --force --force poweroff\nagain\n',
    ],
    [6, 'systemctl --force --force poweroff\nagain\n'],
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
