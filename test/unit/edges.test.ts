/** Each condition of a check at its edge: with a case on both sides, none can be another without a test turning red. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Status } from '../../agent/checks/check.ts';
import type { Host } from '../../agent/host.ts';
import { type Change, all, config, disk, edit, file, handoff, usage, without } from '../support/changes.ts';
import { findingOf, testFindings } from '../support/finding.ts';
import { evaluateGuest, goodGuest, withGuest } from '../support/guest.ts';

const nothing: Change = () => undefined;
const mount =
  (name: string, line: string): Change =>
  ({ mounts }) => {
    mounts[name] = line;
  };
const fstab = (...lines: string[]) => file('etc/fstab', lines.map((line) => `${line}\n`).join(''));
const inEach = (list: readonly string[], of: (each: string) => [Change, Status, (string | RegExp)?]) =>
  Object.fromEntries(list.map((each) => [each, of(each)]));
const unknownKeys = (count: number) => config('X=1\n'.repeat(count));
/** A second disk that nothing of the system is on. */
const another: Change = all(file('dev/vdc', ''), ({ devices }) =>
  devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk', offered: true }),
);
const noDisk: Change = edit('root', '253:0 ', '0:99 ');
const withoutDisks: Change = all(noDisk, edit('boot', '252:1 ', '0:98 '));

testFindings('edges', {
  'root-readonly': {
    'read-only by the mount alone': [edit('root', ' ro,seclabel', ' rw,seclabel'), 'pass'],
    'read-only by the file system alone': [edit('root', '/ ro,', '/ rw,'), 'pass'],
  },
  'host-enforced': {
    'nothing is on a disk': [withoutDisks, 'fail', 'no disk is known'],
    'the disk of / counts, whatever REQUIRE_READONLY says': [
      all(config('REQUIRE_READONLY=\n'), disk({ offered: false })),
      'fail',
      'not offered',
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
      'fail',
      'not offered',
    ]),
  },
  'kernel-lockdown-hints': {
    'nothing is on a disk': [withoutDisks, 'error', 'no disk of the system is known'],
    'nobody says who made it read-only': [
      ({ devices }) => {
        devices[0] = {
          ...{ name: 'nvme0n1', device: '259:0', bus: 'nvme', readOnly: true },
          partitions: { vda1: '252:1', vda2: '252:2' },
        };
      },
      'warn',
      'root can write to nvme0n1',
    ],
    'only signatures are known of': [
      file('sys/module/module/parameters/sig_enforce', 'N\n'),
      'pass',
      'modules: any',
    ],
    'signatures are enforced': [
      file('sys/module/module/parameters/sig_enforce', 'Y\n'),
      'pass',
      'modules: signed ones',
    ],
    'no module can be loaded': [file('proc/sys/kernel/modules_disabled', '1\n'), 'pass', 'modules: disabled'],
    'nothing is known': [nothing, 'pass', 'lockdown not there, modules: not known, kexec not known'],
  },
  'var-overlay': {
    'a second lower layer beside the first': [
      edit('var', 'lowerdir=/run/immutafs/lower,', 'lowerdir=/run/immutafs/lower:/opt,'),
      'fail',
      'no lowerdir=/run/immutafs/lower',
    ],
    'the lower layer is no mount, but /run is read-only': [
      all(without('lower'), edit('run', '/run rw,', '/run ro,')),
      'fail',
      '/run/immutafs/lower is not mounted read-only',
    ],
    'the lower layer is on a disk of its own, read-only': [
      all(another, edit('lower', '253:0 /var', '252:32 /')),
      'pass',
    ],
    'a file system below /var that is read-only by itself': [
      mount('spool', '252:2 / /var/spool rw,nodev - xfs /dev/vda2 ro'),
      'fail',
      '/var/spool is read-only and no overlay',
    ],
    'one that could not be assembled is named once': [
      all(
        handoff({ LAYER: '/var/spool failed' }),
        mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
      ),
      'fail',
      /^\/var\/spool could not be assembled$/,
    ],
    'one on a disk that is not the system’s': [
      mount('spool', '252:16 / /var/spool ro,nodev - xfs /dev/vdb ro'),
      'pass',
    ],
    'what another mount below /var hides': [
      all(
        mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
        mount('over', '0:60 / /var/spool rw,nodev - tmpfs tmpfs rw'),
      ),
      'pass',
    ],
  },
  'var-usage': {
    'a part of a per cent counts as one': [usage({ inodesUsed: 204800 * 0.795 }), 'warn', '80% of 204800'],
    'a tmpfs without a cap is never full': [
      usage({ sizeBytes: 0, usedBytes: 9, inodes: 0, inodesUsed: 9 }),
      'pass',
      '0% of 0 B, 0% of 0 inodes',
    ],
  },
  'swap-off': {
    'fstab has it on a disk of the system that can be written to': [
      all(disk({ offered: false }), fstab('/dev/vda1 none swap sw 0 0')),
      'fail',
      '/etc/fstab line 1: /dev/vda1 is on a disk of the system',
    ],
  },
  'config-valid': {
    'ten lines are named': [unknownKeys(10), 'fail', /^(?!.*more).*conf:10: X: unknown key[^;]*$/],
    'of eleven, one is counted': [unknownKeys(11), 'fail', /conf:10: X: [^;]*; and 1 more$/],
  },
  'mtab-link': {
    ...inEach(['/proc/self/mounts', '../proc/self/mounts', '../proc/mounts'], (linkTo) => [
      file('etc/mtab', { linkTo }),
      'pass',
    ]),
    ...inEach(
      ['/proc/self/mounts/x', '/proc/self/mountsx', '/run/proc/mounts', '../../proc/mounts'],
      (linkTo) => [file('etc/mtab', { linkTo }), 'fail'],
    ),
  },
  footholds: {
    'a disk that is read-only by its flag alone': [
      all(disk({ offered: false, readOnly: true }), mount('srv', '252:1 / /srv rw - xfs a rw')),
      'warn',
      '/srv: xfs, writable, executable, outlives a reboot',
    ],
    'an overlay without an upper layer': [mount('c', '0:60 / /mnt rw - overlay o rw,lowerdir=/a:/b'), 'pass'],
    'an overlay whose upper layer nobody finds': [
      mount('c', '0:60 / /mnt rw - overlay o rw,lowerdir=/a,upperdir=u,workdir=w'),
      'warn',
    ],
    'an overlay whose upper layer is below itself': [
      mount('c', '0:60 / /mnt rw - overlay o rw,lowerdir=/a,upperdir=/mnt/u,workdir=/mnt/w'),
      'warn',
    ],
    'overlays in a ring': [
      all(
        mount('a', '0:60 / /a rw - overlay o rw,lowerdir=/x,upperdir=/b/u,workdir=/b/w'),
        mount('b', '0:61 / /b rw - overlay o rw,lowerdir=/x,upperdir=/a/u,workdir=/a/w'),
      ),
      'warn',
    ],
    'variables of the firmware: nothing is run there': [
      mount('efi', '0:60 / /sys/firmware/efi/efivars rw - efivarfs efivarfs rw'),
      'pass',
      'writable over a reboot: 2',
    ],
  },
  'rivals-off': {
    'overlayroot by the local file': [
      file('etc/overlayroot.local.conf', 'overlayroot="tmpfs"\n'),
      'fail',
      'overlayroot=tmpfs',
    ],
    'by the local file, against the other': [
      all(
        file('etc/overlayroot.conf', 'overlayroot="tmpfs"\n'),
        file('etc/overlayroot.local.conf', 'overlayroot="disabled"\n'),
      ),
      'pass',
    ],
    ...inEach(['rd.overlayfs', 'fsprotect', 'rd.overlay=1', 'systemd.volatile=state'], (word) => [
      file('proc/cmdline', `ro ${word}\n`),
      'fail',
      `kernel argument ${word}`,
    ]),
    ...inEach(['rd.overlay=0', 'lockfs=off', 'xfsprotect', 'rd.overlayfsx'], (word) => [
      file('proc/cmdline', `ro ${word}\n`),
      'pass',
    ]),
  },
  'selinux-labels': {
    ...inEach(['a:b:var_t:s0\n', 'a:b:var_t:s0\n?\n', 'a:b:var_t:s0\na:b:tmp_t:s0\na:b:c:s0\n'], (labels) => [
      all(file('sys/fs/selinux/enforce', '1'), ({ answers }) => {
        answers.labels = labels;
      }),
      'error',
      'has no label of each of /var /tmp',
    ]),
  },
  'initramfs-hook': {
    'late boot decided': [handoff({ STAGE: 'late' }), 'warn', 'no hook: late boot decided the mode'],
  },
  'root-log': {
    ...inEach(['rescue=all', 'rescue=usebackuproot:nologreplay', 'rescue=all:x'], (option) => [
      edit('root', ' ro,seclabel', ` ro,${option},seclabel`),
      'warn',
    ]),
    ...inEach(['rescue=usebackuproot', 'xnorecovery', 'rescue=allx'], (option) => [
      edit('root', ' ro,seclabel', ` ro,${option},seclabel`),
      'pass',
    ]),
  },
  'home-options': {
    'what another mount below /home hides': [
      all(
        mount('below', '0:60 / /home/a rw - tmpfs a rw'),
        mount('over', '0:61 / /home/a rw,noexec,nosuid,nodev - tmpfs b rw'),
      ),
      'pass',
    ],
    'a file system below /home that is read-only': [mount('below', '0:60 / /home/a rw - xfs a ro'), 'pass'],
    'one that can be written to': [mount('below', '0:60 / /home/a rw - xfs a rw'), 'fail'],
    'one option of three': [
      mount('below', '0:60 / /home/a rw,noexec,nosuid - xfs a rw'),
      'fail',
      'xfs at /home/a without nodev',
    ],
  },
  'other-options': {
    'ro is asked of the target, not of what is below': [
      all(
        config('REQUIRE_OPTIONS=/srv:ro,nodev\n'),
        mount('srv', '0:60 / /srv ro,nodev - tmpfs a rw'),
        mount('below', '0:61 / /srv/x rw,nodev - tmpfs b rw'),
      ),
      'pass',
    ],
  },
  'exec-probe': {
    'one target of two': [
      ({ answers }) => {
        answers.probes.exec = 'RAN';
      },
      'fail',
    ],
    'the only one': [
      all(config('REQUIRE_OPTIONS=/tmp:noexec\n'), ({ answers }) => {
        answers.probes.exec = 'RAN';
      }),
      'fail',
      'a program was run',
    ],
    'one that is not there': [
      all(config('REQUIRE_OPTIONS=/none:noexec\n'), ({ answers }) => {
        answers.probes.present = 'NO';
      }),
      'skip',
      'wants noexec of nothing that is there',
    ],
  },
  'stacked-mounts': {
    ...inEach(['/', '/var', '/run', '/run/var', '/proc', '/sys', '/dev', '/etc', '/usr'], (target) => [
      all(
        config('REQUIRE_READONLY=\nREQUIRE_OPTIONS=\n'),
        fstab(),
        mount('one', `252:1 ${target} ${target} ro - xfs one ro`),
        mount('two', `252:1 ${target} ${target} ro - xfs two ro`),
      ),
      'fail',
      `${target} is `,
    ]),
    'the lower layer': [
      mount('over', '253:0 /var /run/immutafs/lower ro - xfs /dev/mapper/rhel-root ro'),
      'fail',
      'hidden: xfs',
    ],
    'the upper layer': [
      all(
        mount('one', '0:60 / /run/var/upper rw - tmpfs one rw,size=1k,nr_inodes=9'),
        mount('two', '0:61 / /run/var/upper rw - tmpfs two rw,size=1k,nr_inodes=9'),
      ),
      'fail',
      '/run/var/upper is tmpfs (two)',
    ],
    'what REQUIRE_READONLY names': [
      all(fstab(), mount('over', '252:1 / /boot ro - xfs evil ro')),
      'fail',
      '/boot is xfs (evil)',
    ],
    'the disk of / once more over /': [mount('over', '253:0 / / ro - xfs again ro'), 'fail', '/ is xfs'],
    'a folder of another disk over itself by name': [
      ({ mounts }) => {
        const home = mounts['home'] ?? '';
        delete mounts['home'];
        mounts['itself'] = '252:32 /home /home ro - xfs /dev/vdc rw';
        mounts['home'] = home;
      },
      'fail',
      'hidden: xfs (/dev/vdc)',
    ],
  },
  'fstab-consistent': {
    'Btrfs has no checker that does anything': [
      fstab('/dev/mapper/rhel-root / btrfs ro 0 1', 'UUID=1 /boot xfs ro 0 0'),
      'pass',
    ],
    'pass 1 is a check, too': [
      fstab('/dev/mapper/rhel-root / ext4 ro 0 1', 'UUID=1 /boot xfs ro 0 0'),
      'fail',
      'line 1, /: checked at boot (1)',
    ],
    'a disk that is read-only, though not the system’s': [
      all(another, fstab('/dev/vdc /srv xfs nodev 0 0'), mount('srv', '252:32 / /srv ro,nodev - xfs a ro')),
      'fail',
      'line 1, /srv: no ro',
    ],
    'a disk of the system that can be written to': [
      all(disk({ offered: false }), fstab('/dev/mapper/rhel-root / xfs defaults 0 0')),
      'fail',
      'line 1, /: no ro',
    ],
    'an overlay that is not below /var': [
      all(fstab('/dev/vdb /srv xfs nodev 0 0'), mount('srv', '0:60 / /srv rw,nodev - overlay o rw')),
      'fail',
      'line 1, /srv: mounted from o (0:60)',
    ],
    'what is mounted at the first access': [
      all(
        fstab('/dev/vdb /srv xfs nodev,x-systemd.automount 0 0'),
        mount('srv', '0:60 / /srv rw - autofs systemd-1 rw'),
      ),
      'pass',
    ],
    'a device that is gone': [
      all(fstab('UUID=9 /srv xfs defaults 0 0'), mount('srv', '252:32 / /srv rw - xfs a rw')),
      'fail',
      'line 1, /srv: UUID=9 is not there',
    ],
    'one that may be gone': [
      all(fstab('UUID=9 /srv xfs nofail 0 0'), mount('srv', '252:32 / /srv rw - xfs a rw')),
      'pass',
    ],
    'a folder below /dev, bound': [
      all(fstab('/dev/shm /srv none bind 0 0'), mount('srv', '0:60 / /srv rw - tmpfs a rw')),
      'pass',
    ],
    ...inEach(['ro', 'noexec', 'nosuid', 'nodev'], (option) => [
      all(fstab(`tmpfs /srv tmpfs ${option} 0 0`), mount('srv', '0:60 / /srv rw,relatime - tmpfs a rw')),
      'fail',
      `mounted without ${option}`,
    ]),
    ...inEach(['ro,rw', 'noexec,exec', 'nosuid,suid', 'nodev,dev'], (options) => [
      all(fstab(`tmpfs /srv tmpfs ${options} 0 0`), mount('srv', '0:60 / /srv rw,relatime - tmpfs a rw')),
      'pass',
    ]),
    ...inEach(
      ['x-systemd.makefs', 'jqfmt=vfsv1', 'gquota', 'qnoenforce', 'gqnoenforce', 'quota'],
      (option) => [
        fstab(`/dev/mapper/rhel-root / xfs ro,${option} 0 0`),
        option === 'qnoenforce' ? 'pass' : 'fail',
      ],
    ),
  },
});

const kept = suite('edges: who keeps the disks read-only');
const writable = disk({ offered: false });
const rwMount = edit('root', '/ ro,', '/ rw,');
const rwFileSystem = edit('root', ' ro,seclabel', ' rw,seclabel');
for (const [title, change, expected] of [
  ['the host', nothing, 'host'],
  ['a flag of the disk alone', all(disk({ offered: false, readOnly: true }), rwMount, rwFileSystem), 'guest'],
  ['the mount alone', all(writable, rwFileSystem), 'guest'],
  ['its file system alone', all(writable, rwMount), 'guest'],
  ['nothing', all(writable, rwMount, rwFileSystem), 'none'],
  [
    'the host, but for a disk of REQUIRE_READONLY',
    all(config('REQUIRE_READONLY=/ /home\n'), edit('home', '/home rw', '/home ro')),
    'partial',
  ],
] as const) {
  kept(title, async () => {
    const guest = goodGuest();
    change(guest);
    assert.is((await withGuest(guest, evaluateGuest)).enforcement, expected);
  });
}
kept.run();

const hang = suite('edges: what may hang is not touched');
for (const [type, status] of [
  ['nfs4', 'error'],
  ['fuse.sshfs', 'error'],
  ['tmpfs', 'pass'],
] as const) {
  hang(type, async () => {
    const touched: string[] = [];
    const see = (name: string) => {
      if (name.startsWith('/etc/sysconfig/')) touched.push(name);
    };
    const as = (host: Host): Host => ({
      ...host,
      read: (name, limit) => (see(name), host.read(name, limit)),
      stat: (name) => (see(name), host.stat(name)),
    });
    const change = mount('server', `0:60 / /etc/sysconfig rw,noexec - ${type} server:/x rw`);
    assert.is((await findingOf('rivals-off', change, as)).status, status);
    assert.is(touched.length > 0, status === 'pass');
    assert.is((await findingOf('mtab-link', change, as)).status, 'pass');
  });
}
const server = mount('server', '0:60 / /srv ro,nodev - nfs4 server:/x ro');
const answer =
  (present: string, write = 'EROFS'): Change =>
  ({ answers }) => {
    Object.assign(answers.probes, { present, write });
  };
for (const [title, target, change, id, status] of [
  ['a mount point is there, whatever a child says', '/srv', answer('NO'), 'boot-readonly', 'pass'],
  ['below it a child says whether it is', '/srv/x', answer('YES'), 'boot-readonly', 'pass'],
  ['and that it is not', '/srv/x', answer('NO'), 'boot-readonly', 'skip'],
  ['where it cannot tell, it is', '/srv/x', answer('TIMEOUT'), 'boot-readonly', 'pass'],
  ['a child writes there', '/srv', answer('YES', 'OK'), 'root-write-probe', 'fail'],
  ['and has no answer', '/srv', answer('YES', 'TIMEOUT'), 'root-write-probe', 'error'],
] as const) {
  hang(title, async () => {
    const whole = all(config(`REQUIRE_READONLY=${target}\n`), server, change);
    assert.is((await findingOf(id, whole)).status, status);
  });
}
hang('a target that cannot be looked at is held to be there', async () => {
  const as = (host: Host): Host => ({
    ...host,
    stat: (name) => {
      if (name === '/opt') throw new Error('no');
      return host.stat(name);
    },
  });
  assert.is((await findingOf('boot-readonly', config('REQUIRE_READONLY=/opt\n'), as)).status, 'pass');
  assert.is((await findingOf('boot-readonly', config('REQUIRE_READONLY=/opt\n'))).status, 'skip');
});
hang('a folder beside it, and one that covers it, are', async () => {
  const beside = mount('server', '0:60 / /etc/sys rw - nfs4 server:/x rw');
  assert.is((await findingOf('rivals-off', beside)).status, 'pass');
  const covered = all(
    mount('server', '0:60 / /etc/sysconfig rw - nfs4 server:/x rw'),
    mount('over', '0:61 / /etc/sysconfig rw - tmpfs x rw'),
  );
  assert.is((await findingOf('rivals-off', covered)).status, 'pass');
});
hang.run();

const consumers = suite('edges: what takes up the most');
for (const [title, change, expected] of [
  ['bytes at the warning', usage({ usedBytes: 0.8 * 256 * 1024 * 1024 }), ['/var/big']],
  ['inodes at the warning', usage({ inodesUsed: 0.8 * 204800 }), ['/var/big']],
  ['below it, nobody looks', usage({ usedBytes: 0.79 * 256 * 1024 * 1024, inodesUsed: 0.79 * 204800 }), []],
] as const) {
  consumers(title, async () => {
    const guest = goodGuest();
    all(change, file('run/var/upper/big', 'x'))(guest);
    const report = await withGuest(guest, evaluateGuest);
    assert.equal(
      report.var.largest.map(({ path }) => path),
      expected,
    );
  });
}
consumers.run();

const others = suite('edges: what no file of a fixture can be');
others('a target of which it cannot be told does not hide one that was written to', async () => {
  const as = (host: Host) => ({ ...host, tryWrite: (folder: string) => (folder === '/' ? 'EIO' : 'OK') });
  const { status, observed } = await findingOf('root-write-probe', nothing, as);
  assert.equal([status, observed], ['fail', 'a write was accepted']);
});
others('without a look at the disks there is no word of footholds', async () => {
  const as = (host: Host): Host => ({
    ...host,
    read: (name, limit) => {
      if (name.endsWith('/ro')) throw new Error('not now');
      return host.read(name, limit);
    },
  });
  const { status, observed } = await findingOf('footholds', nothing, as);
  assert.equal([status, observed], ['error', 'not now']);
});
others('labels from a stat(1) that failed are none', async () => {
  const stdout = 'a:b:var_t:s0\na:b:tmp_t:s0\n';
  for (const [ended, expected] of [
    ['good', 'pass'],
    ['bad', 'error'],
    ['deadline', 'error'],
  ] as const) {
    const as = (host: Host): Host => ({ ...host, run: () => Promise.resolve({ stdout, ended }) });
    const { status } = await findingOf('selinux-labels', file('sys/fs/selinux/enforce', '1'), as);
    assert.is(status, expected, ended);
  }
});
others.run();
