import {
  type Change,
  all,
  config,
  edit,
  file,
  handoff,
  moreFstab,
  mount,
  nothing,
  without,
  scratchDisk,
} from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest, goodGuest, evaluateFixture } from '../../harness/guest.ts';
import { recordOf } from '../../harness/moves.ts';
import type { Move } from '../../../agent/prepare/move/record.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

/** The boot has recorded what became of a path of PERSIST or SCRATCH. */
const outcome = (name: string, state: string, reason = '', remedy = '') =>
  file(`run/immutafs/${name}`, `STATE=${state}\nREASON=${reason}\nREMEDY=${remedy}\n`);

const layersOf = (name: string, lower: string) =>
  `lowerdir=${lower},upperdir=/run/var/below/${name}/upper,workdir=/run/var/below/${name}/work`;

const view = mount('view', '253:0 / /run/immutafs/root ro,relatime - xfs /dev/mapper/rhel-root ro');

/** An overlay on a directory of the root. */
const ofRoot = (target: string, options = 'nosuid,nodev', lower = `/run/immutafs/root${target}`): Change =>
  mount(
    target,
    `0:50 / ${target} rw,${options} - overlay immutafs rw,${layersOf(target.slice(1).replaceAll('/', '+'), lower)}`,
  );

/** An overlay on a file system of its own on the sealed disk. */
const ofVolume: Change = all(
  mount('viewopt', '252:2 / /run/immutafs/below/opt ro - xfs /dev/vda2 ro'),
  mount(
    'opt',
    `0:51 / /opt rw,nosuid,nodev - overlay immutafs rw,${layersOf('opt', '/run/immutafs/below/opt')}`,
  ),
);
const inFstab = all(file('dev/vda2', ''), moreFstab('/dev/vda2 /opt xfs ro 0 0'));
const agentOfVolume = mount(
  'agent',
  `0:52 / /opt/agent rw,nosuid,nodev,noexec - overlay immutafs rw,${layersOf('opt+agent', '/run/immutafs/below/opt/agent')}`,
);

const overlay = (text: string): Change => config(`OVERLAY=${text}\n`);
const record = (OVERLAY: string): Change => handoff({ OVERLAY });
const root = all(overlay('/root'), view, ofRoot('/root'), record('/root overlay'));

testChanges('overlay-paths', {
  'a directory of the root': [root, 'pass: overlay'],
  'a volume and a directory below it': [overlay('/opt /opt/agent:noexec'), ofVolume, agentOfVolume, 'pass'],
  'a refused path': [overlay('/usr'), 'fail: /usr is refused: it holds the programs of the system'],
  'it does not exist': [
    all(overlay('/srv'), record('/srv missing it does not exist')),
    'fail: /srv: it does not exist',
  ],
  'one of two failed': [
    all(overlay('/root /srv'), view, ofRoot('/root'), record('/srv failed mount failed: no')),
    /^fail: \/srv: mount failed: no$/,
  ],
  'late boot did not run': [overlay('/srv'), record('/srv deferred'), 'fail: late boot did not mount it'],
  'late boot was killed': [overlay('/srv'), record('/srv begun'), 'fail: was started and not finished'],
  'the boot has no record': [overlay('/srv'), 'fail: the boot did not examine it'],
  'it was unmounted': [root, without('/root'), 'fail: /root: it is no longer an overlay'],
  'a tmpfs is mounted over it': [
    all(root, mount('over', '0:60 / /root rw,nosuid,nodev,noexec - tmpfs x rw')),
    'fail: no longer an overlay',
  ],
  'an option is missing': [overlay('/root:noexec'), view, ofRoot('/root'), 'fail: /root lacks noexec'],
  'suid was not asked for': [overlay('/root'), view, ofRoot('/root', 'nodev'), 'fail: /root lacks nosuid'],
  'suid was asked for': [overlay('/root:suid'), view, ofRoot('/root', 'nodev'), 'pass'],
  'it is read-only': [root, edit('/root', '/root rw,', '/root ro,'), 'fail: /root is read-only'],
  'another lower layer': [
    all(root, edit('/root', 'lowerdir=/run/immutafs/root/root', 'lowerdir=/home/x')),
    'fail: another lower layer',
  ],
  'the lower layer of another path': [
    all(root, edit('/root', 'lowerdir=/run/immutafs/root/root', 'lowerdir=/run/immutafs/root/etc')),
    'fail: another lower layer',
  ],
  'the upper layer of another path': [
    all(root, edit('/root', 'upperdir=/run/var/below/root/', 'upperdir=/run/var/below/opt/')),
    'fail: no upperdir=',
  ],
  'an upper layer that persists': [
    all(root, edit('/root', 'upperdir=/run/var/below/root/', 'upperdir=/home/')),
    { 'overlay-paths': 'fail: no upperdir=', footholds: 'warn' },
  ],
  'the view is writable': [
    all(root, edit('view', 'root ro,', 'root rw,')),
    'fail: /run/immutafs/root is not mounted read-only',
  ],
  'the view shows another directory': [
    all(root, edit('view', '253:0 / ', '253:0 /home ')),
    'fail: shows /home of the disk, not /',
  ],
  'the volume is on a writable disk': [
    all(overlay('/opt'), ofVolume, edit('viewopt', '252:2 ', '252:16 ')),
    { 'overlay-paths': 'fail: is on vdb, which is writable', 'persistent-mounts': 'fail' },
  ],
  'the upper layer is covered by a disk': [
    all(root, mount('cover', '252:16 / /run/var/below rw,noexec,nosuid,nodev - xfs /dev/vdb rw')),
    {
      'var-upper-tmpfs': 'fail',
      'overlay-paths': 'pass',
      'persistent-mounts': 'fail: /run/var/below is xfs (/dev/vdb): neither /etc/fstab nor DATA names it',
      footholds: 'warn',
    },
  ],
  'a path on a writable disk': [
    overlay('/home/alice'),
    record('/home/alice unneeded /home is on a disk that the host left writable (vdb)'),
    'warn: the host left writable',
  ],
  'a forged record for a path on the system disk': [
    all(overlay('/srv'), record('/srv unneeded it is in RAM')),
    'fail: it is on the system disk and has no overlay',
  ],
  '/etc': [
    all(overlay('/etc:noexec'), view, ofRoot('/etc', 'nosuid,nodev,noexec')),
    'warn: /etc: root can change until the reboot what programs start',
  ],
  'a foreign overlay on /etc': [
    mount('etc', `0:50 / /etc rw - overlay x rw,${layersOf('etc', '/home/etc')}`),
    {
      'stacked-mounts': 'fail: /etc is overlay (x), not what was sealed',
      'persistent-mounts': 'fail: /etc is overlay (x): programs of the system start from there',
    },
  ],
  'a foreign overlay on /etc that is in OVERLAY': [
    all(overlay('/etc'), view, ofRoot('/etc', undefined, '/home/etc')),
    { 'overlay-paths': 'fail: another lower layer', 'stacked-mounts': 'fail' },
  ],
  'a mount over a file in it': [
    overlay('/etc'),
    view,
    ofRoot('/etc'),
    mount('conf', '0:61 /x /etc/immutafs/immutafs.conf rw,noexec - tmpfs x rw'),
    { 'stacked-mounts': 'fail: /etc/immutafs/immutafs.conf', 'overlay-paths': 'warn' },
  ],
  'a second mount at the view': [
    all(root, mount('over', '0:61 / /run/immutafs/root ro,noexec - tmpfs x ro')),
    { 'stacked-mounts': 'fail', 'overlay-paths': 'pass' },
  ],
  'a volume of fstab is an overlay': [
    all(overlay('/opt'), ofVolume, inFstab),
    { 'overlay-paths': 'pass', 'fstab-consistent': 'pass' },
  ],
  'another overlay on a volume of fstab': [
    all(ofVolume, edit('opt', '/opt rw,', '/opt rw,noexec,'), inFstab),
    { 'fstab-consistent': 'fail: /opt: mounted from immutafs', 'stacked-mounts': 'fail' },
  ],
  'a path that must be read-only': [
    all(config('OVERLAY=/boot2\nREQUIRE_READONLY=/ /boot2\n'), view, ofRoot('/boot2')),
    { 'boot-readonly': 'fail: mounted read-write', 'overlay-paths': 'pass' },
  ],
});

testFindings('overlay-paths', {
  'OVERLAY is empty': [nothing, 'skip: OVERLAY is empty'],
  'the record cannot be read': [
    overlay('/srv'),
    file('run/immutafs/boot.env', 'x\n'),
    'error: malformed line',
  ],
});
testFindings('footholds: overlays', {
  'an overlay that is executable': [root, 'pass: writable and executable: 4'],
  'an overlay with noexec': [
    all(overlay('/root:noexec'), view, ofRoot('/root', 'nosuid,nodev,noexec')),
    'pass: writable and executable: 3',
  ],
  '/etc, even with noexec': [
    all(overlay('/etc:noexec'), view, ofRoot('/etc', 'nosuid,nodev,noexec')),
    'pass: writable and executable: 4',
  ],
});
testFindings(
  'overlay-paths: in maintenance',
  {
    '/root /missing': [overlay('/root /missing'), 'skip'],
    '/root /usr': [overlay('/root /usr'), 'fail'],
  },
  { guest: maintenanceGuest },
);

const settings = 'PERSIST=/var/lib/sss /opt/agent:exec\nPERSIST_STORE=/home/store\n';
const sss = '252:16 /store/var=lib=sss /var/lib/sss rw,noexec,nosuid,nodev - xfs /dev/vdb rw';

/** Both paths are kept on vdb, which is mounted on /home. */
const kept: Change = all(
  config(settings),
  mount('sss', sss),
  mount('agent', '252:16 /store/opt=agent /opt/agent rw,nosuid,nodev - xfs /dev/vdb rw'),
  outcome('persisted/var=lib=sss', 'kept'),
  outcome('persisted/opt=agent', 'kept'),
);
/** The boot did not try to keep /var/lib/sss. */
const unrecorded = file('run/immutafs/persisted/var=lib=sss', undefined);
const onlySss = (options: string): Change =>
  all(
    config(`PERSIST=/var/lib/sss${options}\nPERSIST_STORE=/home/store\n`),
    mount('sss', sss),
    outcome('persisted/var=lib=sss', 'kept'),
  );

testChanges('persisted-paths', {
  'PERSIST is empty': [config('PERSIST_STORE=/home/store\n'), {}],
  'all paths are kept; an executable one is a foothold, and no other check minds': [
    kept,
    { 'persisted-paths': 'pass: kept in /home/store', footholds: 'warn' },
  ],
  'without exec, it is no foothold that a check warns about': [onlySss(''), 'pass'],
  'autostart is a foothold': [
    onlySss(':autostart'),
    {
      footholds:
        'warn: /var/lib/sss: xfs, writable, outlives a reboot, programs are started from it (PERSIST)',
      'persisted-paths': 'pass',
    },
  ],
  'autostart is a larger one if it is mounted in maintenance, too': [
    onlySss(':autostart,maintenance'),
    {
      footholds: 'warn: also in maintenance, where they can change the system disk',
      'persisted-paths': 'pass',
    },
  ],
  'autostart without the mount, in a sealed boot': [
    all(onlySss(':autostart'), without('sss')),
    'fail: it is no longer mounted',
  ],
  'one path is not kept': [
    all(kept, without('sss'), outcome('persisted/var=lib=sss', 'failed', '/x is bad', 'Remove /x.')),
    { 'persisted-paths': /^fail: \/var\/lib\/sss: \/x is bad$/, footholds: 'warn' },
  ],
  'it is no longer mounted': [onlySss(''), without('sss'), 'fail: it is no longer mounted'],
  'the boot was interrupted': [
    all(onlySss(''), without('sss'), outcome('persisted/var=lib=sss', 'begun')),
    'fail: begun and not finished',
  ],
  'no record': [
    onlySss(''),
    without('sss'),
    outcome('persisted/var=lib=sss', 'kept'),
    unrecorded,
    'fail: the boot did not try to keep it',
  ],
  'a record that the boot did not write': [
    all(onlySss(''), without('sss'), file('run/immutafs/persisted/var=lib=sss', 'x')),
    'error: not a record',
  ],
  'a mount of another directory of the store': [
    all(onlySss(''), edit('sss', 'var=lib=sss', 'other')),
    'fail: xfs (/dev/vdb) is mounted there, not /home/store/var=lib=sss',
  ],
  'a tmpfs in its place, whatever the record says': [
    all(onlySss(''), edit('sss', sss, '0:90 / /var/lib/sss rw,nosuid,nodev,noexec - tmpfs x rw')),
    'fail: tmpfs (x) is mounted there',
  ],
  'a mount over it': [
    all(onlySss(''), mount('over', '0:90 / /var/lib/sss rw,nosuid,nodev,noexec - tmpfs x rw')),
    'fail: tmpfs (x) is mounted there',
  ],
  'it is executable without the option': [
    all(onlySss(''), edit('sss', 'noexec,', '')),
    { 'persisted-paths': 'fail: mounted without noexec', footholds: 'warn' },
  ],
  'it is read-only': [onlySss(''), edit('sss', ' rw,noexec', ' ro,noexec'), 'fail: mounted without rw'],
  'the store is on the root': [
    onlySss(''),
    config('PERSIST=/var/lib/sss\nPERSIST_STORE=/srv/store\n'),
    edit('sss', /^.*rw,/, '253:0 /srv/store/var=lib=sss /var/lib/sss rw,'),
    'fail: is mounted there, not /srv/store',
  ],
  'PERSIST_STORE is empty': [
    all(config('PERSIST=/x\n'), outcome('persisted/x', 'failed', 'PERSIST_STORE is empty', 'Set it.')),
    'fail: PERSIST_STORE is empty',
  ],
});

const report = suite('persisted in the report');

report('each path with its state, source and reason; a correction is a note of a kept path', async () => {
  const guest = goodGuest();
  all(
    kept,
    without('agent'),
    outcome('persisted/opt=agent', 'failed', 'no disk', 'Attach it.'),
    outcome('persisted/var=lib=sss', 'kept', 'owner was reset'),
  )(guest);
  const { persisted, checks } = await evaluateFixture(guest);
  assert.equal(persisted, [
    {
      path: '/var/lib/sss',
      state: 'kept',
      source: '/home/store/var=lib=sss',
      options: [],
      reason: 'owner was reset',
    },
    {
      path: '/opt/agent',
      state: 'failed',
      source: '/home/store/opt=agent',
      options: ['exec'],
      reason: 'no disk',
    },
  ]);
  const { subject, remedy } = checks.find(({ id }) => id === 'persisted-paths') ?? {};
  assert.equal([subject, remedy], ['/opt/agent', '/opt/agent: Attach it.']);
});

report.run();

const failing = all(onlySss(''), without('sss'));
testFindings(
  'persisted-paths: in maintenance',
  {
    'a path that is not mounted': [failing, 'fail'],
    'autostart, which the boot does not mount': [
      all(onlySss(':autostart'), without('sss'), unrecorded),
      /^pass: \/var\/lib\/sss: the system disk is writable/,
    ],
    'the same with maintenance': [onlySss(':autostart,maintenance'), without('sss'), unrecorded, 'fail'],
    'autostart, which root may have mounted': [onlySss(':autostart'), ['fail', 'umount /var/lib/sss']],
    'in mode off': [
      all(failing, handoff({ MODE: 'off', VAR: 'disk' }), file('proc/cmdline', 'immutafs=off\n')),
      'skip',
    ],
  },
  { guest: maintenanceGuest },
);

const appOverlay =
  '0:60 / /var/cache/app rw,nosuid,nodev,noexec - overlay immutafs rw,lowerdir=/run/immutafs/lower/cache/app,upperdir=/run/immutafs/scratch-disk/var=cache=app/upper,workdir=/run/immutafs/scratch-disk/var=cache=app/work';
const items = config('SCRATCH=/var/cache/app /srv/store:empty\nSCRATCH_DEVICE=/dev/disk/by-id/virtio-s\n');

const onDisk: Change = all(
  items,
  scratchDisk(),
  mount('app', appOverlay),
  mount(
    'store',
    '253:9 /srv=store/data /srv/store rw,nosuid,nodev,noexec - xfs /dev/mapper/immutafs-scratch rw',
  ),
  outcome('scratch/var=cache=app', 'disk'),
  outcome('scratch/srv=store', 'disk'),
);

const inMemory = outcome('scratch/srv=store', 'memory', '/dev/vdb has no mark', 'Mark it.');
const readOnly = outcome('scratch/srv=store', 'read-only', '/dev/vdb has no mark', 'Mark it.');
const storeOn = (device: string, option: 'ro' | 'rw') =>
  `${device} /srv /srv/store ${option},nosuid,nodev,noexec - tmpfs x ${option}`;

testChanges('scratch-paths', {
  'SCRATCH is empty': [config(''), {}],
  'an overlay and a directory of the device': [onDisk, 'pass: key of this boot'],
  'one path is in memory': [
    all(onDisk, inMemory, mount('store', storeOn('0:41', 'rw'))),
    'warn: /srv/store: in memory, /dev/vdb has no mark',
  ],
  'a path in the overlay on /var, which is in memory': [
    all(onDisk, without('app'), outcome('scratch/var=cache=app', 'memory', 'no disk', 'Attach it.')),
    'warn: /var/cache/app: in memory, no disk',
  ],
  'a path that was recorded as in memory, and is on a data disk': [
    all(onDisk, inMemory, mount('store', '252:16 /x /srv/store rw,nosuid,nodev,noexec - xfs /dev/vdb rw')),
    {
      'scratch-paths': 'fail: /srv/store: it is no longer in memory: xfs (/dev/vdb) at /srv/store serves it',
      'persistent-mounts': 'fail',
    },
  ],
  'a path that was recorded as in memory, and is no longer mounted': [
    all(onDisk, inMemory, without('store')),
    'fail: /srv/store: it is no longer in memory: xfs (/dev/mapper/rhel-root) at / serves it',
  ],
  'a required path is read-only': [
    all(onDisk, readOnly, mount('store', storeOn('253:0', 'ro'))),
    'fail: /srv/store: read-only, /dev/vdb has no mark',
  ],
  'a required path was recorded as read-only, and is writable': [
    all(onDisk, readOnly, mount('store', storeOn('0:41', 'rw'))),
    'fail: /srv/store: it is no longer mounted read-only: tmpfs (x) at /srv/store serves it',
  ],
  'a required path was recorded as read-only, and is no longer mounted': [
    all(onDisk, readOnly, without('store')),
    'fail: /srv/store: it is no longer mounted read-only',
  ],
  'a path that the configuration does not permit': [
    onDisk,
    outcome('scratch/srv=store', 'failed', '/srv/store is a symbolic link', 'Name the directory.'),
    'fail: /srv/store: /srv/store is a symbolic link',
  ],
  'no record': [items, 'fail: the boot did not try to provide it'],
  'recorded, and mounted from another file system': [
    all(onDisk, mount('store', '252:17 / /srv/store rw,nosuid,nodev,noexec - xfs /dev/vdb1 rw')),
    { 'scratch-paths': 'fail: no longer mounted from SCRATCH_DEVICE', 'persistent-mounts': 'fail' },
  ],
  'another file system at the place of the scratch disk': [
    onDisk,
    mount('scratch', '252:17 / /run/immutafs/scratch-disk rw,nosuid,nodev,noexec - ext4 /dev/vdb1 rw'),
    { 'scratch-paths': 'fail: is no longer that of the boot', 'persistent-mounts': 'fail' },
  ],
  'a mapping of the same name on another device': [
    all(onDisk, scratchDisk('vda')),
    { 'scratch-paths': 'fail: is no longer that of the boot', 'persistent-mounts': 'fail' },
  ],
  'a disk that was removed while it is in use': [
    onDisk,
    scratchDisk('removed'),
    { 'scratch-paths': 'fail: or its disk is gone', 'persistent-mounts': 'fail' },
  ],
  'a boot that opened no device': [
    all(onDisk, file('run/immutafs/scratch-device', 'STATE=failed\nREASON=x\nREMEDY=y\nDEVICE=\n')),
    { 'scratch-paths': 'fail: is no longer that of the boot', 'persistent-mounts': 'fail' },
  ],
  'a record that the boot did not write': [
    all(onDisk, file('run/immutafs/scratch/srv=store', 'x')),
    'error: not a record',
  ],
});

const moveRecord = (more: Partial<Move>) =>
  file('var/lib/immutafs/moves.json', recordOf('/var/lib/app', 'a', more));
const marker = file('etc/immutafs/move-at-boot', '0\n');
testChanges('planned-moves', {
  'nothing was moved': [{}],
  'a move is complete': [moveRecord({ phase: 'moved' }), 'pass: nothing waits'],
  'a move waits': [
    all(moveRecord({ task: 'move', phase: 'planned' }), marker),
    'warn: /var/lib/app: to be done in the next maintenance boot',
  ],
  'three boots have tried': [moveRecord({ task: 'move' }), 'warn: but no further boot tries it'],
  'a move failed': [moveRecord({ problem: 'no space' }), 'warn: /var/lib/app: no space'],
  'a record that prepare did not write': [
    file('var/lib/immutafs/moves.json', '{}'),
    'error: moves is missing or invalid',
  ],
});
