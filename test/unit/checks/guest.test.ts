import { all, config, file, moreFstab, swaps } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';

testChanges('config-valid', {
  'an unknown key': [
    config('MODES=auto\n'),
    'fail: line 1: MODES: unknown key, ignoring it (did you mean MODE?)',
  ],
  'an invalid value of the kernel argument': [
    file('proc/cmdline', 'ro noresume immutafs=yes\n'),
    'fail: kernel argument immutafs=yes',
  ],
  'no configuration file': [file('etc/immutafs/immutafs.conf', undefined), {}],
});

testChanges('mtab-link', {
  '/etc/mtab is a file': [file('etc/mtab', 'x'), 'fail: not a link'],
  '/etc/mtab does not exist': [file('etc/mtab', undefined), 'fail'],
  '/etc/mtab points elsewhere': [file('etc/mtab', { linkTo: '/run/mtab' }), 'fail: a link to /run/mtab'],
  '/etc/mtab points to /proc/mounts': [file('etc/mtab', { linkTo: '/proc/mounts' }), {}],
});

const row = file('run/var/upper/lib/pgsql/data/base/1', 'row');

testChanges('state-kept', {
  'a database is in the upper layer': [row, /^warn: .*a reboot would lose: PostgreSQL \(.* in 1 file\)/],
  'a directory of an unknown service': [
    file('run/var/upper/lib/acme/registration', 'x'),
    /^warn: .*\/var\/lib\/acme \(/,
  ],
  'logs, caches and records of the base system': [
    file('run/var/upper/log/messages', 'x'),
    file('run/var/upper/cache/x/y', 'x'),
    file('run/var/upper/lib/systemd/random-seed', 'x'),
    {},
  ],
  'a database whose loss was accepted': [
    all(row, file('etc/immutafs/accepted-writes', '# alice:\n/var/lib/pgsql\n')),
    {},
  ],
});

testChanges('swap-off', {
  'swap in use on a disk of the system': [
    all(file('dev/vda2', ''), swaps('/dev/vda2                               partition\t1000\t0\t-2')),
    'fail: /dev/vda2 is in use',
  ],
  'swap in use on another disk': [
    swaps('/dev/vdb partition\t1000\t0\t-2'),
    'pass: only on other disks: /dev/vdb',
  ],
  'swap in compressed memory': [
    swaps('/dev/zram0 partition\t1000\t0\t100'),
    file('dev/zram0', ''),
    ({ devices }) => devices.push({ name: 'zram0', device: '251:0', on: [] }),
    {},
  ],
  'a swap file on /': [swaps('/swapfile file\t1000\t0\t-2'), 'fail: /swapfile is in use'],
  'a swap file on /home': [swaps('/home/swap\\040file file\t1000\t0\t-2'), {}],
  'a swap list that is damaged': [swaps('nonsense'), 'error: malformed'],
  'swap in fstab on a disk of the system': [
    all(file('dev/vda2', ''), moreFstab('/dev/vda2 none swap defaults 0 0')),
    'fail: /etc/fstab line 6: /dev/vda2 is on a system disk',
  ],
  'swap in fstab on another disk': [moreFstab('/dev/vdb none swap defaults 0 0'), {}],
  'swap in fstab on another disk that is read-only': [
    moreFstab('/dev/vdc none swap defaults 0 0'),
    file('dev/vdc', ''),
    ({ devices }) => devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk', offered: true }),
    'fail',
  ],
  'swap in fstab on a missing device': [moreFstab('UUID=2 none swap sw 0 0'), 'fail: UUID=2 does not exist'],
  'the same, with nofail': [moreFstab('UUID=2 none swap sw,nofail 0 0'), {}],
  'swap in fstab that is not used at boot': [moreFstab('/dev/vda2 none swap noauto 0 0'), {}],
  'a swap file in fstab': [moreFstab('/swapfile none swap sw 0 0'), 'fail'],
});

testFindings('swap-off', {
  'a partition of the system': [
    file('proc/swaps', 'Filename Type Size Used Priority\n/dev/dm-0 partition 1048572 0 -2\n'),
    'fail: /dev/dm-0 is in use',
  ],
  'a kernel without swap': [file('proc/swaps', undefined), 'pass: none in use'],
  'a malformed list': [file('proc/swaps', 'hello\n'), 'error: does not begin with its heading'],
});

testFindings(
  'swap-off: in maintenance',
  {
    'swap is not checked': [file('proc/swaps', 'Filename Type\n/dev/dm-0 partition 1 0 -2\n'), 'skip'],
  },
  { guest: maintenanceGuest },
);
