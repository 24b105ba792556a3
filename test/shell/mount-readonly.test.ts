import * as assert from 'uvu/assert';
import { runInSandbox } from './sandbox.ts';
import { cmdline, links, vda, vdb, vdc } from './sealed-disk.ts';
import { shim, useShims, withoutBusybox } from './shells.ts';

withoutBusybox('mount-readonly', (test, shell) => {
  const mountRoot = (cmdline: string, offered: boolean, mount: string) =>
    runInSandbox({
      shell,
      devices: [vda(offered)],
      files: { 'proc/cmdline': `${cmdline}\n`, 'shims/mount': shim(`echo "$@" >>/out/calls\n${mount}`) },
      // loop7 is a block device of this machine, but has the entry of the fixture in sysfs.
      run: `${useShims}ln -s "$(readlink /sys/class/block/vda2)" /sys/class/block/loop7
        mkdir -p /dev/disk; sh /usr/libexec/immutafs/mount-readonly`,
    });
  for (const [title, cmdline, offered, mount, expected] of [
    ['a sealed disk', 'root=/dev/loop7 rw', true, 'exit 0', '-o ro /dev/loop7 /sysroot\n'],
    [
      'options and type on the command line',
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
      'both mounts fail: left to systemd',
      'root=/dev/loop7',
      true,
      'exit 32',
      '-o ro /dev/loop7 /sysroot\n-o ro,norecovery /dev/loop7 /sysroot\n',
    ],
    ['a writable disk: left to systemd', 'root=/dev/loop7', false, 'exit 0', undefined],
    ['no root=', 'quiet', true, 'exit 0', undefined],
    ['a root from the network', 'root=nfs:server:/x', true, 'exit 0', undefined],
    ['a disk that does not exist', 'root=UUID=0', true, 'exit 0', undefined],
  ] as const) {
    test(title, () => {
      const { code, out, stderr } = mountRoot(cmdline, offered, mount);
      assert.equal([out['calls'], code], [expected, 0]);
      if (mount.includes('norecovery')) assert.match(stderr, 'warning: / is mounted with norecovery');
    });
  }

  const mounted = (before: string, files: Record<string, string> = {}, arguments_ = 'root=UUID=u') =>
    runInSandbox({
      shell,
      devices: [{ ...vdc, name: 'vda', device: '252:0', partitions: { vda2: '252:2' } }, vdb],
      files: {
        'shims/mount': '#!/bin/bash\necho "$@" >>/out/mounts\n',
        'shims/lvm':
          '#!/bin/bash\necho "$@" >>/out/lvm\n[ "$1" != pvs ] || echo "pv vg rhel"\n[ "$1" != vgchange ] || ln -s /dev/loop7 /dev/block/immutafs/by-uuid/u\n',
        ...files,
        ...cmdline(arguments_),
      },
      // The link below /dev/disk points to the copy, on vda2.
      run: `${links('by-uuid/else')}
        ln -s "$(readlink /sys/class/block/vda2)" /sys/class/block/loop5
        mkdir -p /dev/disk; mount -t tmpfs x /dev/disk; mkdir /dev/disk/by-uuid; ln -s /dev/loop5 /dev/disk/by-uuid/u
        ${useShims}        ${before}
        sh /usr/libexec/immutafs/mount-readonly; cp /run/immutafs/impostors /out/ 2>/dev/null`,
    }).out;
  const sealed = 'ln -s /dev/loop7 /dev/block/immutafs/by-uuid/u';
  const noted = 'IMPOSTOR=/dev/loop5 /dev/loop7 UUID=u\n';

  test('the link to the sealed disk exists immediately', () => {
    const { mounts, udevadm } = mounted(sealed);
    assert.equal([mounts, udevadm], ['-o ro /dev/loop7 /sysroot\n', undefined]);
  });
  test('udev finds the sealed disk later; the copy is recorded', () => {
    const wait = {
      'run/udev/queue': '',
      'shims/udevadm': `#!/bin/bash\necho "$@" >>/out/udevadm\n${sealed}\nrm /run/udev/queue\n`,
    };
    const out = mounted('', wait);
    assert.equal(
      [out['mounts'], out['udevadm'], out['impostors']],
      ['-o ro /dev/loop7 /sysroot\n', 'settle --timeout=90\n', noted],
    );
  });
  test('the sealed disk is in a volume group that is not active', () => {
    const out = mounted(
      'mkdir /dev/block/immutafs/lvm; ln -s /dev/loop6 /dev/block/immutafs/lvm/vdb1; chmod +x /usr/libexec/immutafs/lvm-readonly',
    );
    assert.equal([out['mounts'], out['impostors']], ['-o ro /dev/loop7 /sysroot\n', noted]);
    assert.match(out['lvm'] ?? '', /^vgchange -ay --sysinit rhel$/m);
  });
  test('immutafs=off: left to systemd', () => {
    const out = mounted(
      'mkdir /dev/block/immutafs/lvm; ln -s /dev/loop6 /dev/block/immutafs/lvm/vdb1',
      {},
      'root=UUID=u immutafs=off',
    );
    assert.equal([out['mounts'], out['lvm']], [undefined, undefined]);
  });
  test('no disk is sealed: left to systemd', () => {
    const out = mounted('');
    assert.equal([out['mounts'], out['impostors']], [undefined, undefined]);
  });
});
