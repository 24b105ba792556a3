import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SystemReader } from '../../../agent/system/reader.ts';
import {
  type Change,
  all,
  another,
  belowHome,
  config,
  disk,
  edit,
  file,
  fstab,
  handoff,
  mount,
  nothing,
  probed,
  usage,
  without,
} from '../../harness/changes.ts';
import { findingOf, inEach, testFindings } from '../../harness/finding.ts';

/** Tests the boundaries of each condition, with a case on either side of each boundary. */

const unknownKeys = (count: number) => config('X=1\n'.repeat(count));
const spoolOnVdc = '252:32 / /var/spool ro,nodev - xfs /dev/vdc ro';
const withoutDisks: Change = all(edit('root', '253:0 ', '0:99 '), edit('boot', '252:1 ', '0:98 '));

testFindings('root-readonly: limits', {
  'read-only by the mount alone': [edit('root', ' ro,seclabel', ' rw,seclabel'), 'pass'],
  'read-only by the file system alone': [edit('root', '/ ro,', '/ rw,'), 'pass'],
});
testFindings('host-enforced: limits', {
  'nothing is on a disk': [withoutDisks, 'fail: no disk was found'],
  'the disk below / counts, whatever REQUIRE_READONLY has': [
    all(config('REQUIRE_READONLY=\n'), disk({ offered: false })),
    'fail: not offered',
  ],
  ...inEach(['vda', 'vdb', 'vdc', 'vdd'], (writable) => [
    ({ devices }) => {
      devices.splice(
        0,
        devices.length,
        ...['vda', 'vdb', 'vdc', 'vdd'].map((name, index) => ({
          ...({ name, device: `252:${index * 16}`, bus: 'virtio-blk' } as const),
          offered: name !== writable,
        })),
        { name: 'dm-1', device: '253:1', on: ['vdb', 'vdc'] },
        { name: 'dm-0', device: '253:0', on: ['vda', 'dm-1', 'vdd'] },
      );
    },
    'fail: not offered',
  ]),
});
testFindings('kernel-lockdown-hints: limits', {
  'nothing is on a disk': [withoutDisks, 'error: no system disk was found'],
  'it is unknown who made the disk read-only': [
    ({ devices }) => {
      devices[0] = {
        ...{ name: 'nvme0n1', device: '259:0', bus: 'nvme', readOnly: true },
        partitions: { vda1: '252:1', vda2: '252:2' },
      };
    },
    'warn: writable by root in the guest',
  ],
  'only the setting of signatures is known': [
    file('sys/module/module/parameters/sig_enforce', 'N\n'),
    'pass: modules: unsigned allowed',
  ],
  'signatures are enforced': [
    file('sys/module/module/parameters/sig_enforce', 'Y\n'),
    'pass: modules: signed only',
  ],
  'no module can be loaded': [file('proc/sys/kernel/modules_disabled', '1\n'), 'pass: modules: disabled'],
});
testFindings('swap-off: limits', {
  'fstab has swap on a writable disk of the system': [
    all(disk({ offered: false }), fstab('/dev/vda1 none swap sw 0 0')),
    'fail: /etc/fstab line 1: /dev/vda1 is on a system disk',
  ],
});
testFindings('fstab-consistent: limits', {
  'the checker of Btrfs does nothing': [
    fstab('/dev/mapper/rhel-root / btrfs ro 0 1', 'UUID=1 /boot xfs ro 0 0'),
    'pass',
  ],
  'pass 1 is a check at boot too': [
    fstab('/dev/mapper/rhel-root / ext4 ro 0 1', 'UUID=1 /boot xfs ro 0 0'),
    'fail: line 1, /: checked at boot (last field is 1)',
  ],
  'a read-only disk that is not the system’s': [
    all(another, fstab('/dev/vdc /srv xfs nodev 0 0'), mount('srv', '252:32 / /srv ro,nodev - xfs a ro')),
    'fail: line 1, /srv: option ro is missing',
  ],
  'a writable disk of the system': [
    all(disk({ offered: false }), fstab('/dev/mapper/rhel-root / xfs defaults 0 0')),
    'fail: line 1, /: option ro is missing',
  ],
  'an overlay that is not below /var': [
    all(fstab('/dev/vdb /srv xfs nodev 0 0'), mount('srv', '0:60 / /srv rw,nodev - overlay o rw')),
    'fail: line 1, /srv: mounted from o (0:60)',
  ],
  'an automount point': [
    fstab('/dev/vdb /srv xfs nodev,x-systemd.automount 0 0'),
    mount('srv', '0:60 / /srv rw - autofs systemd-1 rw'),
    'pass',
  ],
  'a missing device': [
    all(fstab('UUID=9 /srv xfs defaults 0 0'), mount('srv', '252:32 / /srv rw - xfs a rw')),
    'fail: line 1, /srv: UUID=9 does not exist',
  ],
  'a missing device with nofail': [
    all(fstab('UUID=9 /srv xfs nofail 0 0'), mount('srv', '252:32 / /srv rw - xfs a rw')),
    'pass',
  ],
  ...inEach(['bind', 'rbind'], (option) => [
    all(fstab(`/dev/shm /srv none ${option} 0 0`), mount('srv', '0:60 / /srv rw - tmpfs a rw')),
    'pass',
  ]),
  ...inEach(['ro', 'noexec', 'nosuid', 'nodev'], (option) => [
    all(fstab(`tmpfs /srv tmpfs ${option} 0 0`), mount('srv', '0:60 / /srv rw,relatime - tmpfs a rw')),
    `fail: mounted without ${option}`,
  ]),
  ...inEach(['ro,rw', 'noexec,exec', 'nosuid,suid', 'nodev,dev'], (options) => [
    all(fstab(`tmpfs /srv tmpfs ${options} 0 0`), mount('srv', '0:60 / /srv rw,relatime - tmpfs a rw')),
    'pass',
  ]),
});
testFindings('home-options: limits', {
  'a mount below /home that another one hides': [
    mount('below', '0:60 / /home/a rw - tmpfs a rw'),
    mount('over', '0:61 / /home/a rw,noexec,nosuid,nodev - tmpfs b rw'),
    'pass',
  ],
  'a file system below /home that is read-only': [mount('below', '0:60 / /home/a rw - xfs a ro'), 'pass'],
});
testFindings('other-options: limits', {
  'ro is required of the target, not of mounts below it': [
    config('REQUIRE_OPTIONS=/srv:ro,nodev\n'),
    mount('srv', '0:60 / /srv ro,nodev - tmpfs a rw'),
    mount('below', '0:61 / /srv/x rw,nodev - tmpfs b rw'),
    'pass',
  ],
});
testFindings('exec-probe: limits', {
  'the only target': [
    config('REQUIRE_OPTIONS=/tmp:noexec\n'),
    probed('exec', 'RAN'),
    'fail: the program ran',
  ],
  'a target that does not exist': [
    config('REQUIRE_OPTIONS=/none:noexec\n'),
    probed('present', 'NO'),
    'skip: requires noexec for no existing path',
  ],
});
testFindings('stacked-mounts: limits', {
  ...inEach(['/', '/var', '/run', '/run/var', '/proc', '/sys', '/dev', '/etc', '/usr'], (target) => [
    config('REQUIRE_READONLY=\nREQUIRE_OPTIONS=\n'),
    fstab(),
    mount('one', `252:1 ${target} ${target} ro - xfs one ro`),
    mount('two', `252:1 ${target} ${target} ro - xfs two ro`),
    `fail: ${target} is `,
  ]),
  'the lower layer': [
    mount('over', '253:0 /var /run/immutafs/lower ro - xfs /dev/mapper/rhel-root ro'),
    'fail: hidden: xfs',
  ],
  'the upper layer': [
    mount('one', '0:60 / /run/var/upper rw - tmpfs one rw,size=1k,nr_inodes=9'),
    mount('two', '0:61 / /run/var/upper rw - tmpfs two rw,size=1k,nr_inodes=9'),
    'fail: /run/var/upper is tmpfs (two)',
  ],
  'a target of REQUIRE_READONLY': [
    all(fstab(), mount('over', '252:1 / /boot ro - xfs evil ro')),
    'fail: /boot is xfs (evil)',
  ],
  'the disk of / mounted again on /': [mount('over', '253:0 / / ro - xfs again ro'), 'fail: / is xfs'],
  'a directory of another disk with the same path': [
    belowHome('252:32 /home /home ro - xfs /dev/vdc rw'),
    'fail: hidden: xfs (/dev/vdc)',
  ],
});
testFindings('kernel-view: limits', {
  ...inEach(
    [
      ...['/proc/self', '/proc/thread-self', '/proc/cmdline', '/proc/swaps', '/proc/filesystems'],
      ...['/proc/1', '/proc/sys', '/proc/sys/kernel', '/proc/sys/kernel/modules_disabled'],
      ...['/sys/block', '/sys/bus', '/sys/class/block', '/sys/dev', '/sys/devices/x', '/sys/module'],
    ],
    (target) => [
      mount('over', `0:60 / ${target} ro - tmpfs evil ro`),
      `error: tmpfs is mounted over ${target}`,
    ],
  ),
  ...inEach(['/proc/sysx', '/proc/fs/nfsd', '/sys/fs/cgroup', '/sys/kernel/debug', '/sysx'], (target) => [
    mount('beside', `0:60 / ${target} ro - tmpfs other ro`),
    'pass',
  ]),
});
testFindings('config-valid: limits', {
  'ten lines are named': [unknownKeys(10), /^fail: (?!.*more).*line 10: X: unknown key[^;]*$/],
  'of eleven lines, ten are named and one is counted': [
    unknownKeys(11),
    /^fail: .*line 10: X: [^;]*; and 1 more$/,
  ],
});
testFindings('mtab-link: limits', {
  ...inEach(['/proc/self/mounts', '../proc/self/mounts', '../proc/mounts'], (linkTo) => [
    file('etc/mtab', { linkTo }),
    'pass',
  ]),
  ...inEach(['/proc/self/mounts/x', '/proc/mountsx', '/run/proc/mounts', '../../proc/mounts'], (linkTo) => [
    file('etc/mtab', { linkTo }),
    'fail',
  ]),
});
testFindings('rivals-off: limits', {
  'overlayroot in the local file': [
    file('etc/overlayroot.local.conf', 'overlayroot="tmpfs"\n'),
    'fail: overlayroot=tmpfs',
  ],
  'overlayroot disabled in the local file': [
    file('etc/overlayroot.conf', 'overlayroot="tmpfs"\n'),
    file('etc/overlayroot.local.conf', 'overlayroot="disabled"\n'),
    'pass',
  ],
  ...inEach(['rd.overlay=0', 'lockfs=off', 'xfsprotect', 'rd.overlayfsx'], (word) => [
    file('proc/cmdline', `ro ${word}\n`),
    'pass',
  ]),
});
testFindings('selinux-labels: limits', {
  ...inEach(['a:b:var_t:s0\n', 'a:b:var_t:s0\n?\n', 'a:b:var_t:s0\na:b:tmp_t:s0\na:b:c:s0\n'], (labels) => [
    file('sys/fs/selinux/enforce', '1'),
    ({ answers }) => {
      answers.labels = labels;
    },
    'error: did not return a label for each of /var /tmp',
  ]),
});
testFindings('initramfs-hook: limits', {
  'late boot decided the mode': [
    handoff({ STAGE: 'late' }),
    'warn: the hook did not run: late boot decided the mode',
  ],
});
testFindings('var-overlay: limits', {
  'a second lower layer': [
    edit('var', 'lowerdir=/run/immutafs/lower,', 'lowerdir=/run/immutafs/lower:/opt,'),
    'fail: no lowerdir=/run/immutafs/lower',
  ],
  'the lower layer is no mount, but /run is read-only': [
    all(without('lower'), edit('run', '/run rw,', '/run ro,')),
    'fail: /run/immutafs/lower is not mounted read-only',
  ],
  'the lower layer is on a disk of its own, read-only': [
    all(another, edit('lower', '253:0 /var', '252:32 /')),
    'pass',
  ],
  'a file system below /var that is read-only by itself': [
    mount('spool', '252:2 / /var/spool rw,nodev - xfs /dev/vda2 ro'),
    'fail: /var/spool is read-only and not an overlay',
  ],
  'a file system below /var that could not be assembled is named once': [
    handoff({ LAYER: '/var/spool failed' }),
    mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
    /^fail: \/var\/spool could not be assembled$/,
  ],
  'a file system below /var whose assembly did not end is named once': [
    handoff({ LAYER: '/var/spool begun' }),
    mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
    /^fail: the overlay on \/var\/spool was started and not finished \(see journalctl -u 'immutafs-var@\*'\)$/,
  ],
  'a file system below /var on a writable disk that is not the system’s': [
    mount('spool', '252:16 / /var/spool ro,nodev - xfs /dev/vdb ro'),
    'pass',
  ],
  'a file system below /var on another read-only disk': [
    all(another, mount('spool', spoolOnVdc)),
    'fail: /var/spool is read-only and not an overlay',
  ],
  'a file system below /var on another read-only disk, by a label with a space': [
    all(another, mount('spool', spoolOnVdc), fstab('LABEL=my\\040logs /var/spool xfs ro')),
    'fail: /var/spool is read-only and not an overlay',
  ],
  'a file system below /var on another read-only disk, with an automount': [
    all(another, mount('spool', spoolOnVdc), fstab('/dev/vdc /var/spool xfs noauto,x-systemd.automount')),
    'fail: /var/spool is read-only and not an overlay',
  ],
  'a file system below /var on another read-only disk, with noauto': [
    all(another, mount('spool', spoolOnVdc), fstab('/dev/vdc /var/spool xfs ro,noauto')),
    'pass',
  ],
  'a type that is always read-only': [
    all(another, mount('cd', '252:32 / /var/cd ro - iso9660 /dev/vdc ro')),
    'pass',
  ],
  'a loop device': [
    ({ devices }) => devices.push({ name: 'loop0', device: '7:0', bus: 'ata', readOnly: true }),
    mount('image', '7:0 / /var/image ro - ext4 /dev/loop0 ro'),
    'pass',
  ],
  'a mount below /var that another one hides': [
    mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
    mount('over', '0:60 / /var/spool rw,nodev - tmpfs tmpfs rw'),
    'pass',
  ],
});
testFindings('var-usage: limits', {
  'a fraction of a percent is rounded up': [usage({ inodesUsed: 204800 * 0.795 }), 'warn: 80% of 204800'],
  'a tmpfs without a cap is never full': [
    usage({ sizeBytes: 0, usedBytes: 9, inodes: 0, inodesUsed: 9 }),
    'pass: 0% of 0 B, 0% of 0 inodes',
  ],
});
testFindings('root-log: limits', {
  ...inEach(['rescue=usebackuproot', 'xnorecovery', 'rescue=allx'], (option) => [
    edit('root', ' ro,seclabel', ` ro,${option},seclabel`),
    'pass',
  ]),
});

const others = suite('limits: failing calls');
others('a target without a clear result does not hide a target that was written to', async () => {
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    tryWrites: (directories) =>
      Promise.resolve(directories.map((directory) => (directory === '/' ? 'EIO' : 'OK'))),
  });
  const { status, observed } = await findingOf('root-write-probe', nothing, { as });
  assert.equal([status, observed], ['fail', 'the write was accepted']);
});
others('footholds are unknown if the disks cannot be read', async () => {
  const as = (reader: SystemReader): SystemReader => ({
    ...reader,
    read: (name, limit) => {
      if (name.endsWith('/ro')) throw new Error('not now');
      return reader.read(name, limit);
    },
  });
  const { status, observed } = await findingOf('footholds', nothing, { as });
  assert.equal([status, observed], ['error', 'not now']);
});
others('labels are unknown if stat(1) fails', async () => {
  const stdout = 'a:b:var_t:s0\na:b:tmp_t:s0\n';
  for (const [ended, expected] of [
    ['good', 'pass'],
    ['bad', 'error'],
    ['deadline', 'error'],
  ] as const) {
    const as = (reader: SystemReader): SystemReader => ({
      ...reader,
      run: () => Promise.resolve({ stdout, ended }),
    });
    const { status } = await findingOf('selinux-labels', file('sys/fs/selinux/enforce', '1'), { as });
    assert.is(status, expected, ended);
  }
});
others.run();
