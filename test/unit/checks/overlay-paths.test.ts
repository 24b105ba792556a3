import {
  type Change,
  all,
  config,
  edit,
  file,
  handoff,
  moreFstab,
  mount,
  without,
} from '../../harness/changes.ts';
import { findingOf, testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

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
  'a directory of the root': [root, { 'overlay-paths': 'pass' }, 'overlay'],
  'a volume and a directory below it': [
    all(overlay('/opt /opt/agent:noexec'), ofVolume, agentOfVolume),
    { 'overlay-paths': 'pass' },
  ],
  'a refused path': [
    overlay('/usr'),
    { 'overlay-paths': 'fail' },
    '/usr is refused: it holds the programs of the system',
  ],
  'it does not exist': [
    all(overlay('/srv'), record('/srv missing it does not exist')),
    { 'overlay-paths': 'fail' },
    '/srv: it does not exist',
  ],
  'one of two failed': [
    all(overlay('/root /srv'), view, ofRoot('/root'), record('/srv failed mount failed: no')),
    { 'overlay-paths': 'fail' },
    /^\/srv: mount failed: no$/,
  ],
  'late boot did not run': [
    all(overlay('/srv'), record('/srv deferred')),
    { 'overlay-paths': 'fail' },
    'late boot did not mount it',
  ],
  'late boot was killed': [
    all(overlay('/srv'), record('/srv begun')),
    { 'overlay-paths': 'fail' },
    'was started and not finished',
  ],
  'the boot has no record': [overlay('/srv'), { 'overlay-paths': 'fail' }, 'the boot did not examine it'],
  'it was unmounted': [
    all(root, without('/root')),
    { 'overlay-paths': 'fail' },
    '/root: it is no longer an overlay',
  ],
  'a tmpfs is mounted over it': [
    all(root, mount('over', '0:60 / /root rw,nosuid,nodev,noexec - tmpfs x rw')),
    { 'overlay-paths': 'fail' },
    'no longer an overlay',
  ],
  'an option is missing': [
    all(overlay('/root:noexec'), view, ofRoot('/root')),
    { 'overlay-paths': 'fail' },
    '/root lacks noexec',
  ],
  'suid was not asked for': [
    all(overlay('/root'), view, ofRoot('/root', 'nodev')),
    { 'overlay-paths': 'fail' },
    '/root lacks nosuid',
  ],
  'suid was asked for': [
    all(overlay('/root:suid'), view, ofRoot('/root', 'nodev')),
    { 'overlay-paths': 'pass' },
  ],
  'it is read-only': [
    all(root, edit('/root', '/root rw,', '/root ro,')),
    { 'overlay-paths': 'fail' },
    '/root is read-only',
  ],
  'another lower layer': [
    all(root, edit('/root', 'lowerdir=/run/immutafs/root/root', 'lowerdir=/home/x')),
    { 'overlay-paths': 'fail' },
    'another lower layer',
  ],
  'the lower layer of another path': [
    all(root, edit('/root', 'lowerdir=/run/immutafs/root/root', 'lowerdir=/run/immutafs/root/etc')),
    { 'overlay-paths': 'fail' },
    'another lower layer',
  ],
  'the upper layer of another path': [
    all(root, edit('/root', 'upperdir=/run/var/below/root/', 'upperdir=/run/var/below/opt/')),
    { 'overlay-paths': 'fail' },
    'no upperdir=',
  ],
  'an upper layer that persists': [
    all(root, edit('/root', 'upperdir=/run/var/below/root/', 'upperdir=/home/')),
    { 'overlay-paths': 'fail', footholds: 'warn' },
    'no upperdir=',
  ],
  'the view is writable': [
    all(root, edit('view', 'root ro,', 'root rw,')),
    { 'overlay-paths': 'fail' },
    '/run/immutafs/root is not mounted read-only',
  ],
  'the view shows another directory': [
    all(root, edit('view', '253:0 / ', '253:0 /home ')),
    { 'overlay-paths': 'fail' },
    'shows /home of the disk, not /',
  ],
  'the volume is on a writable disk': [
    all(overlay('/opt'), ofVolume, edit('viewopt', '252:2 ', '252:16 ')),
    { 'overlay-paths': 'fail' },
    'is on vdb, which is writable',
  ],
  'the upper layer is covered by a disk': [
    all(root, mount('cover', '252:16 / /run/var/below rw,noexec,nosuid,nodev - xfs /dev/vdb rw')),
    { 'var-upper-tmpfs': 'fail', 'overlay-paths': 'pass', footholds: 'warn' },
  ],
  'a path on a writable disk': [
    all(
      overlay('/home/alice'),
      record('/home/alice unneeded /home is on a disk that the host left writable (vdb)'),
    ),
    { 'overlay-paths': 'warn' },
    'the host left writable',
  ],
  'a forged record for a path on the system disk': [
    all(overlay('/srv'), record('/srv unneeded it is in RAM')),
    { 'overlay-paths': 'fail' },
    'it is on the system disk and has no overlay',
  ],
  '/etc': [
    all(overlay('/etc:noexec'), view, ofRoot('/etc', 'nosuid,nodev,noexec')),
    { 'overlay-paths': 'warn' },
    '/etc: root can change until the reboot what programs start',
  ],
  'a foreign overlay on /etc': [
    mount('etc', `0:50 / /etc rw - overlay x rw,${layersOf('etc', '/home/etc')}`),
    { 'stacked-mounts': 'fail' },
    '/etc is overlay (x), not what was sealed',
  ],
  'a foreign overlay on /etc that is in OVERLAY': [
    all(overlay('/etc'), view, ofRoot('/etc', undefined, '/home/etc')),
    { 'overlay-paths': 'fail', 'stacked-mounts': 'fail' },
    'another lower layer',
  ],
  'a mount over a file in it': [
    all(
      overlay('/etc'),
      view,
      ofRoot('/etc'),
      mount('conf', '0:61 /x /etc/immutafs/immutafs.conf rw,noexec - tmpfs x rw'),
    ),
    { 'stacked-mounts': 'fail', 'overlay-paths': 'warn' },
    '/etc/immutafs/immutafs.conf',
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
    { 'fstab-consistent': 'fail', 'stacked-mounts': 'fail' },
    '/opt: mounted from immutafs',
  ],
  'a path that must be read-only': [
    all(config('OVERLAY=/boot2\nREQUIRE_READONLY=/ /boot2\n'), view, ofRoot('/boot2')),
    { 'boot-readonly': 'fail', 'overlay-paths': 'pass' },
    'mounted read-write',
  ],
});

testFindings('overlay-paths', {
  'overlay-paths': {
    'OVERLAY is empty': [() => undefined, 'skip', 'OVERLAY is empty'],
    'the record cannot be read': [
      all(overlay('/srv'), file('run/immutafs/boot.env', 'x\n')),
      'error',
      'malformed line',
    ],
  },
  footholds: {
    'an overlay that is executable': [root, 'pass', 'writable and executable: 4'],
    'an overlay with noexec': [
      all(overlay('/root:noexec'), view, ofRoot('/root', 'nosuid,nodev,noexec')),
      'pass',
      'writable and executable: 3',
    ],
    '/etc, even with noexec': [
      all(overlay('/etc:noexec'), view, ofRoot('/etc', 'nosuid,nodev,noexec')),
      'pass',
      'writable and executable: 4',
    ],
  },
});

const maintenance = suite('overlay-paths in maintenance');
for (const [text, status] of [
  ['/root /missing', 'skip'],
  ['/root /usr', 'fail'],
] as const) {
  maintenance(`${text}: ${status}`, async () => {
    const { status: found } = await findingOf('overlay-paths', overlay(text), { guest: maintenanceGuest() });
    assert.is(found, status);
  });
}
maintenance.run();
