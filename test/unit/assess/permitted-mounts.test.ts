import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exitCode } from '../../../agent/report/report.ts';
import { isOfPrograms, startReason } from '../../../agent/facts/security/places.ts';
import {
  type Change,
  all,
  another,
  config,
  disk,
  edit,
  file,
  handoff,
  moreFstab,
  mount,
  nothing,
  scratchDisk,
} from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';
import { evaluateFixture, goodGuest } from '../../harness/guest.ts';

const restricted = 'rw,noexec,nosuid,nodev';
/** Adds a data disk that the host left writable. */
const data: Change = (guest) => {
  file('dev/vdc', '')(guest);
  guest.devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk' });
};
/** A file system on this disk. */
const on = (target: string, options = restricted, root = '/') =>
  all(data, mount(target, `252:32 ${root} ${target} ${options} - ext4 /dev/vdc rw`));
const line = (target: string, options: string) => moreFstab(`/dev/vdc ${target} ext4 ${options} 0 0`);
const inUnit = (name: string, text: string) =>
  file(`etc/systemd/system/${name}.mount`, `[Mount]\nWhat=/dev/vdc\n${text}`);
const nfs = (target: string, options = restricted) =>
  mount(target, `0:61 / ${target} ${options} - nfs4 server:/x rw`);
const store = (root: string, target: string) =>
  mount(target, `252:16 ${root} ${target} ${restricted} - xfs /dev/vdb rw`);
const persist = (items: string) => config(`PERSIST=${items}\nPERSIST_STORE=/home/store\n`);
const overlay = (target: string, options: string) =>
  mount(target, `0:70 / ${target} rw - overlay overlay rw,${options}`);
const fuse = (target: string, type: string, user: number, options = 'rw,nosuid,nodev') =>
  mount(target, `0:71 / ${target} ${options} - ${type} x rw,user_id=${user},group_id=0`);
const autofs = (target: string) => mount(target, `0:72 / ${target} rw - autofs /etc/auto.x rw,fd=5`);

/** The rows of the table: for each, a mount that it permits, and one that it does not permit. */
testFindings('persistent-mounts: rows', {
  'kernel: configfs': [mount('x', '0:60 / /sys/kernel/config rw - configfs configfs rw'), 'pass'],
  'kernel: no other anonymous device': [mount('x', '0:60 / /mnt rw - zfs pool/data rw'), 'fail: /mnt is zfs'],
  'firmware: the EFI variables': [
    mount('x', '0:60 / /sys/firmware/efi/efivars rw - efivarfs efivarfs rw'),
    'pass',
  ],
  'sealed: a disk that the host made read-only': [
    another,
    mount('x', '252:32 / /srv/app ro - ext4 /dev/vdc ro'),
    'pass',
  ],
  'sealed: a disk that the guest mounts read-only': [
    on('/srv/app', 'ro'),
    'fail: /srv/app is ext4 (/dev/vdc)',
  ],
  'sealed: a file system of a server at the mount point of a sealed disk': [
    nfs('/boot', 'ro'),
    'fail: /boot is nfs4 (server:/x): programs of the system start from there',
  ],
  'sealed: a writable disk that a sealed one hides': [
    another,
    (guest) => guest.devices.push({ name: 'vdd', device: '252:48', bus: 'virtio-blk' }),
    mount('below', '252:48 / /srv/app rw - ext4 /dev/vdd rw'),
    mount('x', '252:32 / /srv/app ro - ext4 /dev/vdc ro'),
    'fail: /srv/app is ext4 (/dev/vdd)',
  ],
  'system: a part of the disk of / if the host leaves it writable, which host-enforced reports': [
    disk({ offered: false }),
    mount('x', '252:2 / /srv/app rw - ext4 /dev/vda2 rw'),
    'pass',
  ],
  'system: a layer on this disk': [
    disk({ offered: false }),
    overlay('/mnt', 'lowerdir=/srv,upperdir=/run/u,workdir=/run/w'),
    'pass',
  ],
  'scratch: the disk of SCRATCH': [config('SCRATCH=/srv/app:empty\n'), scratchDisk('vdb'), 'pass'],
  'scratch: a mapping of the same name on another disk': [
    config('SCRATCH=/srv/app:empty\n'),
    scratchDisk('vdb'),
    data,
    (guest) => {
      guest.devices = guest.devices.filter(({ name }) => name !== 'dm-9');
      guest.devices.push({ name: 'dm-9', device: '253:9', on: ['vdc'] });
    },
    'fail: /run/immutafs/scratch-disk is ext4',
  ],
  'memory: a tmpfs': [mount('x', '0:60 / /mnt rw - tmpfs tmpfs rw'), 'pass'],
  'memory: an overlay over the sealed disk': [
    overlay('/mnt', 'lowerdir=/srv,upperdir=/run/u,workdir=/run/w'),
    'pass',
  ],
  'memory: an overlay with an upper layer on data': [
    overlay('/mnt', 'lowerdir=/srv,upperdir=/home/u,workdir=/home/w'),
    'fail: /mnt is overlay',
  ],
  'memory: an overlay with a lower layer on data': [
    overlay('/mnt', 'lowerdir=/home/l:/srv,upperdir=/run/u,workdir=/run/w'),
    'fail: /mnt is overlay',
  ],
  'memory: a read-only overlay with layers on data': [overlay('/mnt', 'lowerdir=/srv:/home/l'), 'fail'],
  'memory: the same over programs': [
    overlay('/opt', 'lowerdir=/home/l:/opt'),
    'fail: /opt is overlay (overlay): programs of the system start from there',
  ],
  'memory: an overlay with a lower layer of unknown place': [overlay('/mnt', 'lowerdir=l/A:l/B'), 'fail'],
  'persist: a path': [persist('/srv/data'), store('/store/srv=data', '/srv/data'), 'pass'],
  'persist: a directory of programs, which only sealed boots mount': [
    persist('/opt/app:autostart'),
    store('/store/opt=app', '/opt/app'),
    'pass',
  ],
  'persist: the store, hidden by a tmpfs': [
    persist('/srv/data'),
    store('/store/srv=data', '/srv/data'),
    mount('over', `0:60 / /srv/data ${restricted} - tmpfs x rw`),
    'pass',
  ],
  'persist: another disk, hidden by the store': [
    persist('/srv/data'),
    data,
    mount('below', '252:32 / /srv/data rw - ext4 /dev/vdc rw'),
    store('/store/srv=data', '/srv/data'),
    'fail: /srv/data is ext4 (/dev/vdc)',
  ],
  'persist: not below a path': [persist('/srv/data'), on('/srv/data/x'), 'fail: /srv/data/x'],
  'home: below /home': [nfs('/home/alice', 'rw,nosuid,nodev'), 'pass'],
  'home: not beside it': [nfs('/homes/alice', restricted), 'fail: /homes/alice is nfs4'],
  'fstab-data: all three options': [on('/srv/app'), line('/srv/app', 'noexec,nosuid,nodev'), 'pass'],
  'fstab-data: user implies them': [on('/srv/app'), line('/srv/app', 'user'), 'pass'],
  'fstab-data: user,exec': [on('/srv/app'), line('/srv/app', 'user,exec'), 'fail: without noexec'],
  'fstab-data: a later option takes one back': [
    on('/srv/app'),
    line('/srv/app', 'noexec,nosuid,nodev,suid'),
    'fail: without nosuid',
  ],
  'fstab-data: a network file system': [
    nfs('/srv/app'),
    moreFstab('server:/x /srv/app nfs noexec,nosuid,nodev 0 0'),
    'pass',
  ],
  'fstab-data: a line without the options': [
    on('/srv/app', 'rw,relatime'),
    line('/srv/app', 'defaults'),
    [
      'fail: line 6 of /etc/fstab mounts it without noexec,nosuid,nodev',
      /add noexec,nosuid,nodev to the options of line 6 .* add nosuid,nodev there and write DATA=\/srv\/app:exec in \/etc\/immutafs\/immutafs\.conf/,
    ],
  ],
  'fstab-data: only noexec is missing': [
    on('/srv/app', 'rw,nosuid,nodev'),
    line('/srv/app', 'nosuid,nodev'),
    ['fail: without noexec', /If programs must run from it, write DATA=\/srv\/app:exec in/],
  ],
  'fstab-data: the options were removed by a remount': [
    on('/srv/app', 'rw,nosuid,nodev'),
    line('/srv/app', 'noexec,nosuid,nodev'),
    ['fail: it is mounted without noexec, unlike in line 6 of', /mount -o remount,noexec \/srv\/app/],
  ],
  'fstab-data: the options were added by a remount, which the next boot does not repeat': [
    on('/srv/app'),
    line('/srv/app', 'defaults'),
    'fail: without noexec,nosuid,nodev',
  ],
  'fstab-data: MOUNT_OPTIONS adds them': [
    config('MOUNT_OPTIONS=/srv/app:noexec,nosuid,nodev\n'),
    on('/srv/app'),
    line('/srv/app', 'defaults'),
    'pass',
  ],
  'fstab-data: a unit': [on('/srv/app'), inUnit('srv-app', 'Options=noexec,nosuid,nodev\n'), 'pass'],
  'fstab-data: a unit without the options': [on('/srv/app'), inUnit('srv-app', ''), 'fail: /srv/app'],
  'fstab-data: neither fstab nor a unit': [
    on('/srv/app'),
    ['fail: neither /etc/fstab nor DATA names it', /umount \/srv\/app\. If the guest needs it/],
  ],
  'fstab-data: an overlay in the place of the disk': [
    line('/srv/app', 'noexec,nosuid,nodev'),
    mount('x', `0:70 / /srv/app ${restricted} - overlay x rw,lowerdir=/x,upperdir=/home/u`),
    'fail: /srv/app is overlay',
  ],
  'fstab-data: jobs of cron are not only data': [
    on('/var/spool/cron'),
    line('/var/spool/cron', 'noexec,nosuid,nodev'),
    [
      'fail: it is not only data: /var/spool/cron: cron starts programs from it',
      /DATA=\/var\/spool\/cron:autostart in/,
    ],
  ],
  'fstab-data: a directory above those of systemd': [
    on('/var/lib'),
    line('/var/lib', 'noexec,nosuid,nodev'),
    'fail: it is not only data: /var/lib/systemd/linger',
  ],
  'fstab-data: a directory of data with a place of a service': [
    on('/srv'),
    line('/srv', 'noexec,nosuid,nodev'),
    'pass',
  ],
  'DATA: the options of the mount': [
    config('DATA=/srv/app:exec\n'),
    on('/srv/app', 'rw,nosuid,nodev'),
    'pass',
  ],
  'DATA: below the path': [config('DATA=/mnt\n'), on('/mnt/backup'), 'pass'],
  'DATA: not beside it': [config('DATA=/mnt\n'), on('/mnt2'), 'fail: /mnt2'],
  'DATA: the nearest item counts': [
    config('DATA=/mnt:exec /mnt/a\n'),
    on('/mnt/a', 'rw,nosuid,nodev'),
    'fail',
  ],
  'DATA: options that the item lacks': [
    config('DATA=/mnt /srv/app:exec\n'),
    on('/srv/app', 'rw'),
    ['fail: its item /srv/app:exec of DATA lacks suid,dev', /^Write DATA=\/mnt \/srv\/app:exec,suid,dev in/],
  ],
  'DATA: a container store without autostart': [
    config('DATA=/var/lib/docker:exec,suid,dev\n'),
    on('/var/lib/docker', 'rw'),
    'fail: lacks autostart (/var/lib/docker: containers and virtual machines start from it)',
  ],
  'DATA: a container store': [
    config('DATA=/var/lib/docker:exec,suid,dev,autostart\n'),
    on('/var/lib/docker', 'rw'),
    'pass',
  ],
  'DATA: a file system of a server over programs': [
    config('DATA=/opt:exec,suid,dev,autostart\n'),
    nfs('/opt/app', 'rw'),
    ['fail: programs of the system start from there', /^Mount the file system elsewhere/],
  ],
  'bound-data: a directory of /home': [
    mount('x', `252:16 /www /srv/www ${restricted} - xfs /dev/vdb rw`),
    moreFstab('/home/www /srv/www none bind 0 0'),
    'pass',
  ],
  'bound-data: a mount without the options': [
    mount('x', '252:16 /www /srv/www rw - xfs /dev/vdb rw'),
    moreFstab('/home/www /srv/www none bind 0 0'),
    'fail: /srv/www is xfs',
  ],
  'bound-data: fstab does not bind it': [
    mount('x', `252:16 /www /srv/www ${restricted} - xfs /dev/vdb rw`),
    'fail: /srv/www is xfs',
  ],
  'bound-data: over jobs of cron': [
    mount('x', `252:16 /cron /var/spool/cron ${restricted} - xfs /dev/vdb rw`),
    moreFstab('/home/cron /var/spool/cron none bind 0 0'),
    'fail: /var/spool/cron is xfs',
  ],
  'bound-on-itself: a directory of /home': [
    mount('x', `252:16 /x /home/x ${restricted} - xfs /dev/vdb rw`),
    'pass',
  ],
  'bound-on-itself: a directory of data with more options': [
    on('/srv/app', 'rw,nosuid,nodev'),
    config('DATA=/srv/app:exec\n'),
    mount('x', `252:32 /tmp /srv/app/tmp ${restricted} - ext4 /dev/vdc rw`),
    'pass',
  ],
  'bound-on-itself: with an option less': [
    on('/srv/app'),
    line('/srv/app', 'noexec,nosuid,nodev'),
    mount('x', '252:32 /tmp /srv/app/tmp rw,nosuid,nodev - ext4 /dev/vdc rw'),
    'fail: /srv/app/tmp is ext4',
  ],
  'bound-on-itself: another directory': [
    on('/srv/app'),
    line('/srv/app', 'noexec,nosuid,nodev'),
    mount('x', `252:32 /other /srv/app/tmp ${restricted} - ext4 /dev/vdc rw`),
    'fail: /srv/app/tmp is ext4',
  ],
  'automounted-data: with the options': [autofs('/net'), nfs('/net/one'), 'pass'],
  'automounted-data: without them': [autofs('/net'), nfs('/net/one', 'rw,nosuid,nodev'), 'fail: /net/one'],
  'automounted-data: DATA names the directory': [
    config('DATA=/net:exec\n'),
    autofs('/net'),
    nfs('/net/one', 'rw,nosuid,nodev'),
    'pass',
  ],
  'container: layers in a kept store': [
    persist('/var/lib/containers:autostart,exec'),
    mount('c', '252:16 /store/var=lib=containers /var/lib/containers rw,nosuid,nodev - xfs /dev/vdb rw'),
    overlay(
      '/var/lib/containers/storage/overlay/1/merged',
      'lowerdir=l/A:l/B,upperdir=/var/lib/containers/storage/overlay/1/diff',
    ),
    'pass',
  ],
  'container: layers elsewhere': [
    on('/mnt'),
    overlay('/var/lib/docker/overlay2/1/merged', 'lowerdir=/mnt/a,upperdir=/mnt/b'),
    'fail: /var/lib/docker/overlay2/1/merged is overlay',
  ],
  'container: a store that is not declared': [
    on('/var/lib/docker', 'rw'),
    overlay('/var/lib/docker/overlay2/1/merged', 'lowerdir=l/A,upperdir=/var/lib/docker/overlay2/1/diff'),
    /^fail: \/var\/lib\/docker is ext4 .*; \/var\/lib\/docker\/overlay2\/1\/merged is overlay/,
  ],
  'container: a disk in the place of a container': [on('/var/lib/docker/x', 'rw'), 'fail: /var/lib/docker/x'],
  'examined: another upper layer on /var, which var-overlay reports': [
    edit('var', 'upperdir=/run/var/upper', 'upperdir=/home/upper'),
    'pass',
  ],
  'user-fuse: a mount of a user': [fuse('/srv/x', 'fuse.sshfs', 1000), 'pass'],
  'user-fuse: without nosuid': [fuse('/srv/x', 'fuse.sshfs', 1000, 'rw,nodev'), 'fail: /srv/x is fuse.sshfs'],
  'user-fuse: a mount of root': [fuse('/srv/x', 'fuse.sshfs', 0), 'fail: /srv/x is fuse.sshfs'],
  'user-fuse: another type with the option': [
    mount('x', '0:71 / /srv/x rw,nosuid,nodev - nfs4 s:/x rw,user_id=1000'),
    'fail: /srv/x is nfs4',
  ],
  'user-fuse: a computed file system': [fuse('/var/lib/lxcfs', 'fuse.lxcfs', 0), 'pass'],
  'user-fuse: its name elsewhere': [fuse('/srv/x', 'fuse.lxcfs', 0), 'fail: /srv/x is fuse.lxcfs'],
  'a loop device': [mount('x', '7:0 / /mnt ro - squashfs /dev/loop0 ro'), 'fail: /mnt is squashfs'],
  'a Btrfs on the data disk, by a subvolume': [
    data,
    mount('x', `0:50 /sub /srv/app ${restricted} - btrfs /dev/vdc rw`),
    'fail: /srv/app is btrfs',
  ],
  'the same in fstab': [
    data,
    mount('x', `0:50 /sub /srv/app ${restricted} - btrfs /dev/vdc rw`),
    moreFstab('/dev/vdc /srv/app btrfs noexec,nosuid,nodev,subvol=sub 0 0'),
    'pass',
  ],
  'a fstab that cannot be read': [file('etc/fstab', { linkTo: 'fstab' }), 'error'],
  'the good guest': [nothing, 'pass: data: /home'],
});

/** Disks with directories of programs count as system disks. */
const programs = (target: string, options: string, changes: Change = data) =>
  all(
    changes,
    mount(target, `252:32 / ${target} ${options} - xfs /dev/vdc rw`),
    moreFstab(`/dev/vdc ${target} xfs ${options === 'ro' ? 'ro' : 'defaults'} 0 0`),
  );
const open = /^fail: .*not offered by the host/;
testChanges('host-enforced', {
  'a disk of /usr/local that the host made read-only': [programs('/usr/local', 'ro', another), {}],
  'a disk of data that the host left writable': [
    all(on('/srv/app'), line('/srv/app', 'noexec,nosuid,nodev')),
    {},
  ],
});
testFindings('host-enforced: programs on a disk that the host left writable', {
  '/usr': [programs('/usr', 'ro'), open],
  '/usr/local': [programs('/usr/local', 'rw'), open],
  '/opt': [programs('/opt', 'rw'), open],
  '/opt/app, mounted with noexec,nosuid,nodev': [programs('/opt/app', restricted), open],
  '/opt/app, named in DATA': [
    all(config('DATA=/opt/app:exec,suid,dev,autostart\n'), programs('/opt/app', 'rw')),
    open,
  ],
  '/root': [programs('/root', 'rw'), open],
  '/boot/efi': [programs('/boot/efi', 'rw'), open],
  'a directory of /home, bound to /opt/app': [
    all(
      mount('x', `252:16 /opt /opt/app ${restricted} - xfs /dev/vdb rw`),
      moreFstab('/home/opt /opt/app none bind 0 0'),
    ),
    open,
  ],
  'a path of PERSIST in /opt': [
    all(persist('/opt/app:autostart'), store('/store/opt=app', '/opt/app')),
    /^pass/,
  ],
  'MODE=sealed': [
    all(
      config('MODE=sealed\n'),
      disk({ offered: false }),
      handoff({ REASON: 'MODE=sealed' }),
      programs('/usr', 'ro'),
    ),
    /^warn: .*vda: .*vdc: /,
  ],
});

const verdicts = suite('verdict, enforcement and exit code');
for (const [title, change, expected] of [
  ['the good guest', nothing, ['sealed', 'host', 0, []]],
  ['/usr on a writable disk', programs('/usr', 'ro'), ['failed', 'partial', 1, ['host-enforced']]],
  [
    '/opt on a writable disk that is mounted read-write',
    programs('/opt', 'rw'),
    ['failed', 'partial', 1, ['host-enforced', 'fstab-consistent']],
  ],
  ['/usr on a disk that the host made read-only', programs('/usr', 'ro', another), ['sealed', 'host', 0, []]],
  [
    'a file system that is not declared',
    all(on('/srv/app', 'rw'), line('/srv/app', 'defaults')),
    ['failed', 'host', 1, ['persistent-mounts']],
  ],
  [
    'the same, with DATA',
    all(config('DATA=/srv/app:exec,suid,dev\n'), on('/srv/app', 'rw'), line('/srv/app', 'defaults')),
    ['sealed', 'host', 0, []],
  ],
  [
    'MODE=sealed on a writable disk',
    all(config('MODE=sealed\n'), disk({ offered: false }), handoff({ REASON: 'MODE=sealed' })),
    ['unenforced', 'guest', 4, []],
  ],
  [
    'MODE=sealed on a disk that the host made read-only',
    all(config('MODE=sealed\n'), handoff({ REASON: 'MODE=sealed' })),
    ['sealed', 'host', 0, []],
  ],
  [
    'MODE=sealed, and a check failed',
    all(config('MODE=sealed\n'), disk({ offered: false }), handoff({ REASON: 'MODE=sealed' }), on('/mnt')),
    ['failed', 'guest', 1, ['persistent-mounts']],
  ],
] as const) {
  verdicts(title, async () => {
    const guest = goodGuest();
    change(guest);
    const report = await evaluateFixture(guest);
    const failed = report.checks.filter(
      ({ status, severity }) => status === 'fail' && severity === 'required',
    );
    assert.equal(
      [report.verdict, report.enforcement, exitCode(report), failed.map(({ id }) => id)],
      expected,
    );
  });
}
verdicts('the report lists what is data, and why', async () => {
  const guest = goodGuest();
  all(config('DATA=/srv/app:exec\n'), on('/srv/app', 'rw,nosuid,nodev'))(guest);
  const { data: found } = await evaluateFixture(guest);
  assert.equal(
    found.map(({ target, rule, executable }) => [target, rule, executable]),
    [
      ['/home', 'home', false],
      ['/srv/app', 'DATA', true],
    ],
  );
});
verdicts('the disk of SCRATCH is listed, too, because the host leaves it writable', async () => {
  const guest = goodGuest();
  all(config('SCRATCH=/srv/app:empty\n'), scratchDisk('vdb'))(guest);
  const { data: found } = await evaluateFixture(guest);
  assert.equal(found.map(({ target, rule }) => [target, rule]).sort(), [
    ['/home', 'home'],
    ['/run/immutafs/scratch-disk', 'scratch'],
  ]);
});
verdicts.run();

const places = suite('places of programs');
for (const path of [
  '/',
  '/usr',
  '/usr/local/bin',
  '/opt/a',
  '/etc/x',
  '/boot/efi',
  '/root',
  '/lib64',
  '/bin',
])
  places(`${path} is never data`, () => assert.ok(isOfPrograms(path)));
for (const path of ['/home', '/srv', '/var/lib/pgsql', '/usrx', '/optional', '/data', '/u01'])
  places(`${path} may be data`, () => assert.not.ok(isOfPrograms(path)));
for (const path of ['/var/spool', '/var/spool/cron', '/var/lib/docker/x', '/srv/salt/a', '/home/a'])
  places(`programs start from ${path}`, () => assert.type(startReason(path), 'string'));
for (const path of ['/srv', '/data', '/u01', '/var/lib/pgsql', '/var/log'])
  places(`nothing is known to start from ${path}`, () => assert.is(startReason(path), undefined));
places.run();
