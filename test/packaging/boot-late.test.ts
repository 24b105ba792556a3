import * as assert from 'uvu/assert';
import { type Boot, bootIn } from '../shell/initramfs.ts';
import { bootEnv, late, noModules, noOverlay, volume } from '../shell/late-boot.ts';
import { inNamespace, mountOverlay } from '../shell/shells.ts';

/** The configuration of the root, which is at / in late boot. */
const config = { 'etc/immutafs/immutafs.conf': 'VAR_SIZE=8m\nVAR_INODES=5000\n' };
const vdb = { name: 'vdb', device: '252:16', bus: 'virtio-blk' } as const;

inNamespace('late', (test, shell) => {
  const boot = bootIn(shell);
  /** Runs late boot for a target. @param record the record of the initramfs */
  const bootLate = (target: string, options: Omit<Boot, 'shell'>, record = bootEnv('sealed')) =>
    boot({
      ...{ disk: 'none', script: late(target), ...options },
      files: { ...config, 'run/immutafs/boot.env': record, ...options.files },
    });

  test('a separate /var on the sealed disk', () => {
    const booted = bootLate('/var', {
      before: volume('vda', '/var'),
      after: `cat /var/lib/y; echo new >/var/lib/y; cat /var/lib/y /run/immutafs/lower/lib/y; stat -c '%a %u:%g' /var`,
    });
    assert.equal(booted.made, [
      '/run/immutafs/lower ext4 ro,nosuid,nodev,noexec,noatime',
      '/run/var tmpfs rw,nosuid,nodev,noexec size=8192k,nr_inodes=5000,mode=700',
      '/var overlay rw,nosuid,nodev lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work',
    ]);
    assert.equal(booted.bootEnv.slice(-3), ['LAYER=/var overlay', 'VAR=overlay', 'ASSEMBLED=late']);
    assert.is(booted.after, 'volume\nnew\nvolume\n755 5:6\n');
    assert.is(booted.code, 0);
  });

  test('/var/log shares the upper layer of /var', () => {
    const booted = bootLate('/var/log', {
      before: `${volume('vda', '/var/log')}
        mkdir -p /run/var/upper; mount -t tmpfs -o size=4m x /run/var`,
      after: 'cat /var/log/lib/y',
    });
    const below = '/run/var/below/var+log';
    assert.equal(booted.made, [
      '/run/immutafs/below/var+log ext4 ro,nosuid,nodev,noexec,noatime',
      `/var/log overlay rw,nosuid,nodev lowerdir=/run/immutafs/below/var+log,upperdir=${below}/upper,workdir=${below}/work`,
    ]);
    assert.is(booted.bootEnv.at(-1), 'LAYER=/var/log overlay');
    assert.is(booted.after, 'volume\n');
  });

  test('a data disk that the host left writable gets no overlay', () => {
    const booted = bootLate('/var/log', { devices: [vdb], before: volume('vdb', '/var/log') });
    assert.equal(booted.made, []);
    assert.is(booted.bootEnv.at(-1), 'LAYER=/var/log disk');
    assert.is(booted.code, 0);
  });

  test('MODE=sealed also seals a writable disk of the root', () => {
    const booted = bootLate(
      '/var/log',
      {
        devices: [vdb],
        before: volume('vdb', '/var/log'),
      },
      bootEnv('sealed', 'vdb:0:none'),
    );
    assert.is(booted.made.length, 3);
    assert.is(booted.bootEnv.at(-1), 'LAYER=/var/log overlay');
  });

  for (const [label, link] of [
    ['LABEL="varfs"', 'varfs'],
    ['LABEL=my\\040logs', 'my\\x20logs'],
  ] as const) {
    for (const target of ['/var', '/var/log']) {
      test(`${target} is ${label} in fstab`, () => {
        const booted = bootLate(target, {
          before: `${volume('vda', target)}
            mkdir -p /dev/disk; mount -t tmpfs udev /dev/disk; mkdir /dev/disk/by-label
            ln -s "$loop" '/dev/disk/by-label/${link}'
            printf '%s\\n' '${label} ${target} ext4 no\\141time 0 0' >/etc/fstab`,
          after: `cat ${target}/lib/y`,
        });
        assert.match(booted.made[0] ?? '', / ext4 ro,nosuid,nodev,noexec,noatime$/);
        assert.is(booted.made.length, 3);
        assert.ok(booted.bootEnv.includes(`LAYER=${target} overlay`), booted.bootEnv.join());
        assert.is(booted.after, 'volume\n');
      });
    }
  }

  for (const mode of ['maintenance', 'off']) {
    test(`nothing is done in ${mode}`, () => {
      const booted = bootLate(
        '/var',
        {
          before: volume('vda', '/var'),
        },
        bootEnv(mode),
      );
      assert.equal(booted.made, []);
      assert.is(booted.bootEnv.at(-1), 'ON_FAILURE=degraded');
      assert.is(booted.code, 0);
    });
  }

  test("without boot.env of the hook: the root's own /var", () => {
    const booted = boot({
      disk: 'none',
      files: { ...config, 'proc/cmdline': 'immutafs=sealed\n', 'etc/fstab': '', 'var/lib/x': 'disk\n' },
      script: late('/var'),
      after: 'cat /var/lib/x',
    });
    assert.is(booted.made.length, 3);
    assert.equal(booted.bootEnv.slice(1), [
      'STAGE=late',
      'MODE=sealed',
      'REASON=kernel argument immutafs=sealed',
      'DISKS=',
      'VAR=disk',
      'ON_FAILURE=degraded',
      'LAYER=/var begun',
      'LAYER=/var overlay',
      'VAR=overlay',
      'ASSEMBLED=late',
    ]);
    assert.is(booted.after, 'disk\n');
  });

  for (const [policy, code, request] of [
    ['degraded', 1, []],
    ['emergency', 10, ['--no-block isolate emergency.target']],
    ['poweroff', 11, ['--no-block --force poweroff']],
  ] as const) {
    test(`a failure, ON_FAILURE=${policy}`, () => {
      const booted = boot({
        disk: 'none',
        files: {
          'etc/immutafs/immutafs.conf': `ON_FAILURE=${policy}\nMOUNT_OPTIONS=\n`,
          'run/immutafs/boot.env': bootEnv('sealed'),
          'proc/filesystems': '\text4\n',
          'etc/fstab': '',
        },
        before: noModules,
        script: late('/var'),
      });
      assert.equal(booted.made, []);
      const [layer, error, outcome] = booted.bootEnv.slice(-3);
      assert.equal([layer, outcome], ['LAYER=/var failed', 'VAR=failed']);
      assert.match(error ?? '', noOverlay);
      assert.equal([booted.code, booted.requests], [code, request]);
    });
  }

  test('no labels without SELinux', () => {
    const { code, stderr } = boot({ disk: 'none', script: '/usr/libexec/immutafs/immutafs-boot label' });
    assert.equal([code, stderr], [0, '']);
  });

  for (const [type, restored] of [
    ['overlay', '-F /var\n'],
    ['tmpfs', ''],
  ] as const) {
    test(`with SELinux and ${type} at /var: ${restored ? 'its label is restored, not recursively' : 'nothing'}`, () => {
      const { code, after } = boot({
        disk: 'none',
        files: {
          'sys/fs/selinux/enforce': '1',
          'usr/sbin/restorecon': '#!/bin/bash\necho "$@" >>/out/restored\n',
        },
        before: `${type === 'overlay' ? mountOverlay('/var') : 'mkdir -p /var; mount -t tmpfs x /var'}; : >/out/restored`,
        script: '/usr/libexec/immutafs/immutafs-boot label',
        after: 'cat /out/restored /out/changed',
      });
      assert.equal([code, after], [0, `${restored}--reference=/run /run/immutafs\n`]);
    });
  }
});
