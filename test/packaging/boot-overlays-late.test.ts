import * as assert from 'uvu/assert';
import { type Booted, bootIn } from '../shell/initramfs.ts';
import { bootEnv as recordOf, late, volume } from '../shell/late-boot.ts';
import { inNamespace, mountOverlay } from '../shell/shells.ts';

const vdb = { name: 'vdb', device: '252:16', bus: 'virtio-blk' } as const;
const tmpfs = '/run/var tmpfs rw,nosuid,nodev,noexec size=8192k,nr_inodes=5000,mode=700';
const overlayOn = (target: string, lower: string, options = 'nosuid,nodev') =>
  `${target} overlay rw,${options} lowerdir=${lower},upperdir=/run/var/below/${target.slice(1).replaceAll('/', '+')}/upper,workdir=/run/var/below/${target.slice(1).replaceAll('/', '+')}/work`;
const volumeView = (options = '') => `/run/immutafs/below/opt ext4 ro${options}`;

/** Lines of bash that mount the volume, as systemd does. */
const mountIt = (on: 'vda' | 'vdb', target: string) => `
  mkdir -p ${target}; mount -o ro "$loop" ${target}
  ln -s "$(readlink /sys/dev/block/${on === 'vda' ? '252:0' : '252:16'})" "/sys/dev/block/$(mountpoint -d ${target})"`;

inNamespace('OVERLAY in late boot', (test, shell) => {
  const boot = bootIn(shell);
  const run = (
    overlay: string,
    lines: string,
    script: string,
    more: Partial<Parameters<typeof boot>[0]> = {},
  ): Booted =>
    boot({
      disk: 'none',
      before: lines,
      script,
      ...more,
      files: {
        'etc/immutafs/immutafs.conf': `VAR_SIZE=8m\nVAR_INODES=5000\nON_FAILURE=poweroff\nOVERLAY=${overlay}\n`,
        'run/immutafs/boot.env': recordOf('sealed'),
        ...more.files,
      },
    });

  test('a file system of the sealed disk becomes the lower layer', () => {
    const { made, bootEnv, code, after } = run(
      '/opt:noexec',
      `${volume('vda', '/opt')} mkdir /opt`,
      late('/opt'),
      {
        after: `echo new >/opt/lib/y; cat /opt/lib/y /run/immutafs/below/opt/lib/y; stat -c '%a %u:%g' /opt`,
      },
    );
    assert.equal(made, [
      tmpfs,
      volumeView(',noatime'),
      overlayOn('/opt', '/run/immutafs/below/opt', 'nosuid,nodev,noexec'),
    ]);
    assert.equal(bootEnv.slice(-2), ['OVERLAY=/opt begun', 'OVERLAY=/opt overlay']);
    assert.equal([code, after], [0, 'new\nvolume\n755 5:6\n']);
  });

  test('a directory below it, whose file system systemd mounted', () => {
    const { made, bootEnv, after } = run(
      '/opt/lib',
      `${volume('vda', '/opt')} ${mountIt('vda', '/opt')}`,
      late('/opt/lib'),
      {
        after:
          'echo new >/opt/lib/y; cat /opt/lib/y /run/immutafs/below/opt/lib/y; touch /opt/x || echo failed',
      },
    );
    assert.equal(made, [tmpfs, volumeView(), overlayOn('/opt/lib', '/run/immutafs/below/opt/lib')]);
    assert.is(bootEnv.at(-1), 'OVERLAY=/opt/lib overlay');
    assert.is(after.replace(/touch: .*\n/, ''), 'new\nvolume\nfailed\n');
  });

  test('both: the lower layer of the directory below is on the disk, not in the upper overlay', () => {
    const { made, after } = run(
      '/opt/lib /opt',
      `${volume('vda', '/opt')} mkdir /opt`,
      `${late('/opt')} && echo changed >/opt/lib/y && ${late('/opt/lib')}`,
      { after: 'cat /opt/lib/y' },
    );
    assert.equal(made.slice(1), [
      volumeView(',noatime'),
      overlayOn('/opt', '/run/immutafs/below/opt'),
      overlayOn('/opt/lib', '/run/immutafs/below/opt/lib'),
    ]);
    assert.is(after, 'volume\n');
  });

  test('without the hook: a directory of the root', () => {
    const { made, bootEnv } = run('/srv/x', 'rm /run/immutafs/boot.env', late('/srv/x'), {
      files: { 'srv/x/file': '', 'proc/cmdline': 'immutafs=sealed\n', 'etc/fstab': '' },
    });
    const [first, view = '', ...others] = made;
    assert.equal([first, ...others], [tmpfs, overlayOn('/srv/x', '/run/immutafs/root/srv/x')]);
    assert.match(view, /^\/run\/immutafs\/root tmpfs ro /);
    assert.equal(bootEnv.slice(1, 3), ['STAGE=late', 'MODE=sealed']);
    assert.is(bootEnv.at(-1), 'OVERLAY=/srv/x overlay');
  });

  test('the tmpfs of /var is shared', () => {
    const { made } = run(
      '/opt',
      `${volume('vda', '/opt')} mkdir -p /opt /run/var; mount -t tmpfs -o size=4m x /run/var`,
      late('/opt'),
    );
    assert.equal(made.length, 2);
  });

  const onVda = `${volume('vda', '/opt')} ${mountIt('vda', '/opt')}`;
  for (const [title, target, lines, state, code] of [
    [
      'a file system on a writable disk',
      ...(['/opt', volume('vdb', '/opt')] as const),
      ...([/^unneeded it is on a disk that the host left writable \(\/dev\/loop\d+\)$/, 0] as const),
    ],
    [
      'a directory below it',
      ...(['/opt/lib', `${volume('vdb', '/opt')} ${mountIt('vdb', '/opt')}`] as const),
      ...([/^unneeded \/opt is on a disk that the host left writable \(vdb\)$/, 0] as const),
    ],
    [
      'a directory in RAM',
      ...(['/opt/lib', 'mkdir /opt; mount -t tmpfs x /opt; mkdir /opt/lib'] as const),
      ...([/^unneeded \/opt is tmpfs, which is not on the system disk$/, 0] as const),
    ],
    [
      'the device does not exist',
      ...(['/opt', 'mkdir /opt; echo "/dev/none /opt xfs ro 0 0" >/etc/fstab'] as const),
      ...([/^failed \/dev\/none does not exist$/, 1] as const),
    ],
    [
      'not a file system',
      '/opt',
      `${volume('vda', '/opt')} dd if=/dev/zero of=/volume bs=1M count=2 conv=notrunc 2>/dev/null; mkdir /opt`,
      ...([/^failed the mount of /, 1] as const),
    ],
    ['mounted', '/opt', onVda, /^failed it is mounted already \(ext4\): remove x-initrd\.mount /, 1],
    ['the directory does not exist', '/opt/none', onVda, /^missing it does not exist$/, 1],
    [
      'a link on the volume',
      ...(['/opt/lib', 'mkdir -p /opt; mount -t tmpfs x /opt; ln -s /usr/lib /opt/lib'] as const),
      ...([/^failed \/opt\/lib is a symbolic link/, 1] as const),
    ],
    [
      'an overlay of another program above it',
      ...(['/opt/lib', mountOverlay('/opt'), /^failed \/opt is an overlay of another program$/, 1] as const),
    ],
    ['refused', '/boot', '', /^refused the next boot starts from it/, 1],
  ] as const) {
    test(`${title}: recorded, nothing is mounted, ON_FAILURE does not apply`, () => {
      const booted = run(target, lines, late(target), { devices: [vdb] });
      assert.equal([booted.made, booted.code], [[], code]);
      const record = booted.bootEnv.at(-1) ?? '';
      assert.ok(record.startsWith(`OVERLAY=${target} `), record);
      assert.match(record.slice(`OVERLAY=${target} `.length), state);
      assert.match(booted.stderr, new RegExp(`immutafs: OVERLAY: ${target}: `));
    });
  }

  for (const [title, mode, overlay] of [
    ['maintenance', 'maintenance', '/opt'],
    ['a path that OVERLAY does not have', 'sealed', '/opt2 /op'],
  ] as const) {
    test(`${title}: nothing is done`, () => {
      const { made, bootEnv, code } = run(overlay, `${volume('vda', '/opt')} mkdir /opt`, late('/opt'), {
        files: { 'run/immutafs/boot.env': recordOf(mode) },
      });
      assert.equal([made, bootEnv.at(-1), code], [[], 'ON_FAILURE=degraded', 0]);
    });
  }

  test('labels: the overlays that the initramfs mounted get the labels of the disk', () => {
    const { after } = run('/opt /srv /home', '', '/usr/libexec/immutafs/immutafs-boot label', {
      files: {
        'run/immutafs/boot.env': `${recordOf('sealed')}OVERLAY=/opt overlay\nOVERLAY=/srv deferred\nOVERLAY=/srv overlay\nOVERLAY=/home overlay\n`,
        'sys/fs/selinux/enforce': '1',
        'usr/sbin/restorecon': '#!/bin/bash\necho restorecon "$@" >>/out/changed\n',
      },
      before: `for d in var opt srv; do mkdir -p /$d /layers/$d; mount -t tmpfs x /layers/$d; mkdir /layers/$d/{lower,upper,work}
        mount -t overlay -o lowerdir=/layers/$d/lower,upperdir=/layers/$d/upper,workdir=/layers/$d/work x /$d; done`,
      after: 'cat /out/changed',
    });
    assert.is(
      after,
      '--reference=/run /run/immutafs\nrestorecon -F /var\n--reference=/run/immutafs/root/opt /opt\n',
    );
  });

  test('labels: the overlay that late boot mounts', () => {
    const { after } = run('/opt', `${volume('vda', '/opt')} mkdir /opt`, late('/opt'), {
      files: { 'sys/fs/selinux/enforce': '1' },
      before: `${volume('vda', '/opt')} mkdir /opt`,
      after: 'cat /out/changed',
    });
    assert.is(after, '--reference=/run/immutafs/below/opt /opt\n');
  });
});
