import * as assert from 'uvu/assert';
import { type Booted, bootIn } from '../shell/initramfs.ts';
import { bootEnv, late, volume } from '../shell/late-boot.ts';
import { inNamespace } from '../shell/shells.ts';

const config = (more = '') => ({ 'etc/immutafs/immutafs.conf': `VAR_SIZE=8m\nVAR_INODES=5000\n${more}` });
const sealed = { 'run/immutafs/boot.env': bootEnv('sealed') };
const assembled = [
  '/run/immutafs/lower tmpfs ro,nosuid,nodev,noexec mode=755',
  '/run/var tmpfs rw,nosuid,nodev,noexec size=8192k,nr_inodes=5000,mode=700',
  '/var overlay rw,nosuid,nodev lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work',
];
const ownVar = { ...config(), ...sealed, 'etc/fstab': '', 'var/lib/x': 'disk\n' };
const error = ({ bootEnv: lines }: Booted) => lines.filter((line) => line.startsWith('ERROR=')).join('\n');

inNamespace('late, the file system cannot be read', (test, shell) => {
  const boot = bootIn(shell);
  const placeholder = '/var tmpfs ro,nosuid,nodev,noexec mode=755';
  for (const [title, damage, reason] of [
    [
      'a superblock',
      'dd if=/dev/zero of=/volume bs=4k count=4 conv=notrunc status=none',
      /the mount of \/dev\/loop\d+ on \/run\/immutafs\/lower failed: Invalid argument; see dmesg/,
    ],
    [
      'a directory',
      "debugfs -w -R 'zap_block -f / 0' /volume 2>/dev/null",
      /lower has subdirectories, but its entries cannot be read/,
    ],
  ] as const) {
    test(`${title}: a placeholder, so that the boot continues`, () => {
      const booted = boot({
        ...{ disk: 'none', files: { ...config(), ...sealed } },
        before: `${volume('vda', '/var', damage)}\necho 'UUID=1 /var/log/audit xfs defaults 0 0' >>/etc/fstab`,
        script: late('/var'),
        after: 'cd /var; find . | sort; readlink run lock; stat -c %a empty/sshd; touch x',
      });
      assert.is(booted.code, 1);
      assert.equal(booted.made, [placeholder]);
      assert.equal(booted.bootEnv.at(-1), 'VAR=failed');
      assert.match(error(booted), reason);
      const entries = ['.', './empty', './empty/sshd', './lock', './log', './log/audit', './run'];
      assert.match(booted.after, `${entries.join('\n')}\n/run\n/run/lock\n711\n`);
      assert.match(booted.after, /Read-only file system/);
    });
  }
  test('a file system below /var', () => {
    const booted = boot({
      ...{ disk: 'none', files: { ...config(), ...sealed } },
      before: volume('vda', '/var/log', 'truncate -s 0 /volume; truncate -s 8m /volume'),
      script: late('/var/log'),
    });
    assert.is(booted.code, 1);
    assert.equal(booted.made, ['/var/log tmpfs ro,nosuid,nodev,noexec mode=755']);
    assert.equal(booted.bootEnv.slice(-3, -1), ['LAYER=/var/log begun', 'LAYER=/var/log failed']);
  });

  const unit = 'etc/systemd/system/var.mount';
  const device = '/dev/loop0 /var xfs defaults 0 0\n';
  for (const [title, files, reason] of [
    [
      'a unit of the administrator',
      { [unit]: '[Mount]\n', 'etc/fstab': device },
      `/${unit} mounts it; an overlay`,
    ],
    [
      'from the network',
      { 'etc/fstab': 'server:/x /var nfs defaults 0 0\n' },
      '/etc/fstab mounts it; an overlay',
    ],
    [
      'a disk that does not exist',
      { 'etc/fstab': 'UUID=1-2 /var xfs defaults 0 0\n' },
      'UUID=1-2 does not exist',
    ],
  ] as const) {
    // The other values of ON_FAILURE are tested in late.test.ts.
    test(title, () => {
      const booted = boot({
        ...{ disk: 'none', script: late('/var') },
        files: { ...config('ON_FAILURE=emergency\n'), ...sealed, ...files },
      });
      assert.is(booted.code, 10);
      assert.equal(booted.made, []);
      assert.ok(error(booted).startsWith(`ERROR=/var: ${reason}`), error(booted));
      assert.is(booted.bootEnv.at(-1), 'VAR=failed');
    });
  }
  test('a masked unit overrides fstab: /var is part of the root', () => {
    const files = { ...ownVar, [unit]: { linkTo: '/dev/null' }, 'etc/fstab': device };
    assert.equal(boot({ disk: 'none', files, script: late('/var') }).made, assembled);
  });

  test('two instances at the same time share the tmpfs', () => {
    const files = {
      ...{ ...config(), ...sealed, 'etc/fstab': '', 'var/log/x': '', 'var/spool/x': '' },
    };
    const both = `{ ${late('/var/log')} & ${late('/var/spool')} & wait; }`;
    const booted = boot({ disk: 'none', files, script: both });
    const targets = booted.made.map((mount) => mount.split(' ')[0]);
    const below = ['log', 'spool'].flatMap((folder) => [
      `/run/immutafs/below/var+${folder}`,
      `/var/${folder}`,
    ]);
    assert.equal(targets.sort(), [...below, '/run/var'].sort());
    const layers = ['/var/log', '/var/spool'].map((target) => `LAYER=${target} overlay`);
    assert.equal(booted.bootEnv.filter((line) => line.endsWith(' overlay')).sort(), layers);
  });

  for (const [call, nth] of [
    ['bind', 1],
    ['mountAt', 1],
    ['mountAt', 2],
  ] as const) {
    test(`killed before call ${nth} of ${call}: the next instance completes the overlay`, () => {
      const files = { ...ownVar, 'run/cut': `${call} before ${nth}` };
      const script = `${late('/var')}; cp /run/immutafs/boot.env /out/killed; rm /run/cut; ${late('/var')}`;
      const booted = boot({ disk: 'none', files, script, after: 'cat /out/killed' });
      assert.match(booted.after, /LAYER=\/var begun\n$/);
      assert.equal(booted.made.toSorted(), assembled.toSorted());
      assert.is(booted.bootEnv.at(-1), 'ASSEMBLED=late');
      assert.is(booted.code, 0);
    });
  }
  for (const [policy, code, requests] of [
    ['degraded', 1, []],
    ['emergency', 10, ['--no-block isolate emergency.target']],
    ['poweroff', 11, ['--no-block --force poweroff']],
  ] as const) {
    test(`killed: ON_FAILURE=${policy}`, () => {
      const files = { ...ownVar, ...config(`ON_FAILURE=${policy}\n`), 'run/cut': 'bind before 1' };
      const booted = boot({ disk: 'none', files, script: late('/var') });
      assert.equal([booted.code, booted.requests, booted.made], [code, requests, []]);
      assert.is(booted.bootEnv.at(-1), 'LAYER=/var begun');
      assert.match(booted.stderr, '/var: immutafs-boot was ended before the overlay was mounted');
    });
  }
  test('a power-off that fails is tried again', () => {
    const systemctl =
      '#!/bin/sh\necho "$*" >>/out/systemctl\n[ "$(wc -l </out/systemctl)" -ge 4 ] || exit 1\n';
    const booted = boot({
      ...{ disk: 'none', script: late('/var') },
      files: {
        ...{ ...ownVar, ...config('ON_FAILURE=emergency\n'), 'run/cut': 'bind before 1' },
        'usr/sbin/systemctl': systemctl,
      },
    });
    const [isolate, force] = ['--no-block isolate emergency.target', '--no-block --force poweroff'];
    assert.equal(booted.requests, [isolate, force, '--force --force poweroff', force]);
  });
  test('a log that cannot be replayed: mounted without replay, and a warning', () => {
    const booted = boot({
      ...{ disk: 'none', script: late('/var'), after: 'cat /var/lib/y' },
      files: {
        ...config(),
        ...sealed,
        fail: 'mountAt ext4 norecovery',
      },
      before: volume('vda', '/var'),
    });
    const warning =
      'WARNING=/var: mounted with norecovery, it was not unmounted cleanly before it was sealed. Open the guest, shut it down cleanly, and seal it again';
    assert.equal(booted.bootEnv.slice(-5), [
      ...['LAYER=/var begun', warning, 'LAYER=/var overlay', 'VAR=overlay', 'ASSEMBLED=late'],
    ]);
    assert.match(booted.made[0] ?? '', /^\/run\/immutafs\/lower ext4 ro,nosuid,nodev,noexec,noatime/);
    assert.equal([booted.made.length, booted.code, booted.after], [3, 0, 'volume\n']);
  });
});
