import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Booted, boot } from './assemble-var.ts';
import { bootEnv, late, volume } from './late-boot.ts';
import { shells } from './shells.ts';

const vdb = { name: 'vdb', device: '252:16', bus: 'virtio-blk' } as const;
const tmpfs = '/run/var tmpfs rw,nosuid,nodev,noexec size=8192k,nr_inodes=5000,mode=700';
const overlayOn = (target: string, lower: string, options = 'nosuid,nodev') =>
  `${target} overlay rw,${options} lowerdir=${lower},upperdir=/run/var/below/${target.slice(1).replaceAll('/', '+')}/upper,workdir=/run/var/below/${target.slice(1).replaceAll('/', '+')}/work`;
const volumeView = (options = '') => `/run/immutafs/below/opt ext4 ro${options}`;

/** Lines of bash that mount the volume, as systemd does. */
const mountIt = (on: 'vda' | 'vdb', target: string) => `
  mkdir -p ${target}; mount -o ro "$loop" ${target}
  ln -s "$(readlink /sys/dev/block/${on === 'vda' ? '252:0' : '252:16'})" "/sys/dev/block/$(mountpoint -d ${target})"`;

for (const [name, shell] of Object.entries(shells)) {
  const suiteLate = suite(`${name}: OVERLAY in late boot`);
  const run = (
    overlay: string,
    lines: string,
    script: string,
    more: Partial<Parameters<typeof boot>[0]> = {},
  ): Booted =>
    boot({
      shell,
      disk: 'none',
      before: lines,
      script,
      ...more,
      files: {
        'etc/immutafs/immutafs.conf': `VAR_SIZE=8m\nVAR_INODES=5000\nON_FAILURE=poweroff\nOVERLAY=${overlay}\n`,
        'run/immutafs/boot.env': bootEnv('sealed'),
        ...more.files,
      },
    });

  suiteLate('a file system of the sealed disk becomes the lower layer', () => {
    const {
      made,
      bootEnv: record,
      code,
      after,
    } = run('/opt:noexec', `${volume('vda', '/opt')} mkdir /opt`, late('/opt'), {
      after: `echo new >/opt/lib/y; cat /opt/lib/y /run/immutafs/below/opt/lib/y; stat -c '%a %u:%g' /opt`,
    });
    assert.equal(made, [
      tmpfs,
      volumeView(',noatime'),
      overlayOn('/opt', '/run/immutafs/below/opt', 'nosuid,nodev,noexec'),
    ]);
    assert.equal(record.slice(-2), ['OVERLAY=/opt begun', 'OVERLAY=/opt overlay']);
    assert.equal([code, after], [0, 'new\nvolume\n755 5:6\n']);
  });

  suiteLate('a directory below it, whose file system systemd mounted', () => {
    const {
      made,
      bootEnv: record,
      after,
    } = run('/opt/lib', `${volume('vda', '/opt')} ${mountIt('vda', '/opt')}`, late('/opt/lib'), {
      after:
        'echo new >/opt/lib/y; cat /opt/lib/y /run/immutafs/below/opt/lib/y; touch /opt/x || echo failed',
    });
    assert.equal(made, [tmpfs, volumeView(), overlayOn('/opt/lib', '/run/immutafs/below/opt/lib')]);
    assert.is(record.at(-1), 'OVERLAY=/opt/lib overlay');
    assert.is(after.replace(/touch: .*\n/, ''), 'new\nvolume\nfailed\n');
  });

  suiteLate('both: the lower layer of the directory below is on the disk, not in the upper overlay', () => {
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

  suiteLate('without the hook: a directory of the root', () => {
    const { made, bootEnv: record } = run('/srv/x', 'rm /run/immutafs/boot.env', late('/srv/x'), {
      files: { 'srv/x/file': '', 'proc/cmdline': 'immutafs=sealed\n', 'etc/fstab': '' },
    });
    const [first, view = '', ...others] = made;
    assert.equal([first, ...others], [tmpfs, overlayOn('/srv/x', '/run/immutafs/root/srv/x')]);
    assert.match(view, /^\/run\/immutafs\/root tmpfs ro /);
    assert.equal(record.slice(1, 3), ['STAGE=late', 'MODE=sealed']);
    assert.is(record.at(-1), 'OVERLAY=/srv/x overlay');
  });

  suiteLate('the tmpfs of /var is shared', () => {
    const { made } = run(
      '/opt',
      `${volume('vda', '/opt')} mkdir -p /opt /run/var; mount -t tmpfs -o size=4m x /run/var`,
      late('/opt'),
    );
    assert.equal(made.length, 2);
  });

  for (const [title, { target = '/opt', lines, state, code, devices = [] }] of Object.entries<{
    target?: string;
    lines: string;
    state: RegExp;
    code: number;
    devices?: readonly (typeof vdb)[];
  }>({
    'a file system on a writable disk': {
      lines: volume('vdb', '/opt'),
      devices: [vdb],
      state: /^unneeded it is on a disk that the host left writable \(\/dev\/loop\d+\)$/,
      code: 0,
    },
    'a directory below it': {
      target: '/opt/lib',
      lines: `${volume('vdb', '/opt')} ${mountIt('vdb', '/opt')}`,
      devices: [vdb],
      state: /^unneeded \/opt is on a disk that the host left writable \(vdb\)$/,
      code: 0,
    },
    'a directory in RAM': {
      target: '/opt/lib',
      lines: 'mkdir /opt; mount -t tmpfs x /opt; mkdir /opt/lib',
      state: /^unneeded \/opt is tmpfs, which is not on the system disk$/,
      code: 0,
    },
    'the device does not exist': {
      lines: 'mkdir /opt; echo "/dev/none /opt xfs ro 0 0" >/etc/fstab',
      state: /^failed \/dev\/none does not exist$/,
      code: 1,
    },
    'not a file system': {
      lines: `${volume('vda', '/opt')} dd if=/dev/zero of=/volume bs=1M count=2 conv=notrunc 2>/dev/null; mkdir /opt`,
      state: /^failed mount failed: /,
      code: 1,
    },
    'mounted already': {
      lines: `${volume('vda', '/opt')} ${mountIt('vda', '/opt')}`,
      state: /^failed it is mounted already \(ext4\): remove x-initrd\.mount /,
      code: 1,
    },
    'the directory does not exist': {
      target: '/opt/none',
      lines: `${volume('vda', '/opt')} ${mountIt('vda', '/opt')}`,
      state: /^missing it does not exist$/,
      code: 1,
    },
    'a link on the volume': {
      target: '/opt/lib',
      lines: `mkdir -p /opt; mount -t tmpfs x /opt; ln -s /usr/lib /opt/lib`,
      state: /^failed \/opt\/lib is a symbolic link/,
      code: 1,
    },
    'an overlay of another program above it': {
      target: '/opt/lib',
      lines: `mkdir -p /opt /layers; mount -t tmpfs x /layers; mkdir -p /layers/{lower/lib,upper,work}
        mount -t overlay -o lowerdir=/layers/lower,upperdir=/layers/upper,workdir=/layers/work x /opt`,
      state: /^failed \/opt is an overlay of another program$/,
      code: 1,
    },
    refused: { target: '/boot', lines: '', state: /^refused the next boot starts from it/, code: 1 },
  })) {
    suiteLate(`${title}: recorded, nothing is mounted, ON_FAILURE does not apply`, () => {
      const booted = run(target, lines, late(target), { devices });
      assert.equal(booted.made, []);
      const record = booted.bootEnv.at(-1) ?? '';
      assert.ok(record.startsWith(`OVERLAY=${target} `), record);
      assert.match(record.slice(`OVERLAY=${target} `.length), state);
      assert.is(booted.code, code);
      assert.match(booted.stderr, new RegExp(`immutafs: OVERLAY: ${target}: `));
    });
  }

  for (const [title, mode, overlay] of [
    ['maintenance', 'maintenance', '/opt'],
    ['a path that OVERLAY does not have', 'sealed', '/opt2 /op'],
  ] as const) {
    suiteLate(`${title}: nothing is done`, () => {
      const {
        made,
        bootEnv: record,
        code,
      } = run(overlay, `${volume('vda', '/opt')} mkdir /opt`, late('/opt'), {
        files: { 'run/immutafs/boot.env': bootEnv(mode) },
      });
      assert.equal([made, record.at(-1), code], [[], 'ON_FAILURE=degraded', 0]);
    });
  }

  suiteLate('labels: the overlays that the initramfs mounted get the labels of the disk', () => {
    const { after } = run('/opt /srv /home', '', 'sh /usr/libexec/immutafs/assemble-var label', {
      files: {
        'run/immutafs/boot.env': `${bootEnv('sealed')}OVERLAY=/opt overlay\nOVERLAY=/srv deferred\nOVERLAY=/srv overlay\nOVERLAY=/home overlay\n`,
        'sys/fs/selinux/enforce': '1',
        'shims/restorecon': '#!/bin/bash\necho restorecon "$@" >>/out/labelled\n',
        'shims/chcon': '#!/bin/bash\necho "$@" >>/out/labelled\n',
      },
      before: `chmod +x /shims/*; cp /shims/restorecon /usr/sbin/restorecon; cp /shims/chcon /usr/bin/chcon
        for d in var opt srv; do mkdir -p /$d /layers/$d; mount -t tmpfs x /layers/$d; mkdir /layers/$d/{lower,upper,work}
        mount -t overlay -o lowerdir=/layers/$d/lower,upperdir=/layers/$d/upper,workdir=/layers/$d/work x /$d; done`,
      after: 'cat /out/labelled',
    });
    assert.is(
      after,
      '--reference=/run /run/immutafs\nrestorecon -F /var\n--reference=/run/immutafs/root/opt /opt\n',
    );
  });

  suiteLate('labels: the overlay that late boot mounts', () => {
    const { after } = run('/opt', `${volume('vda', '/opt')} mkdir /opt`, late('/opt'), {
      files: { 'sys/fs/selinux/enforce': '1', 'shims/chcon': '#!/bin/bash\necho "$@" >>/out/labelled\n' },
      before: `${volume('vda', '/opt')} mkdir /opt; chmod +x /shims/*; cp /shims/chcon /usr/bin/chcon`,
      after: 'cat /out/labelled',
    });
    assert.is(after, '--reference=/run/immutafs/below/opt /opt\n');
  });
  suiteLate.run();
}
