import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { all, file, moreFstab, swaps } from '../../harness/changes.ts';
import { findingOf, testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';

testChanges('swap-off', {
  'swap in use on a disk of the system': [
    all(file('dev/vda2', ''), swaps('/dev/vda2                               partition\t1000\t0\t-2')),
    { 'swap-off': 'fail' },
    '/dev/vda2 is in use',
  ],
  'swap in use on another disk': [
    swaps('/dev/vdb partition\t1000\t0\t-2'),
    { 'swap-off': 'pass' },
    'only on other disks: /dev/vdb',
  ],
  'swap in compressed memory': [
    all(swaps('/dev/zram0 partition\t1000\t0\t100'), file('dev/zram0', ''), ({ devices }) =>
      devices.push({ name: 'zram0', device: '251:0', on: [] }),
    ),
    {},
  ],
  'a swap file on /': [swaps('/swapfile file\t1000\t0\t-2'), { 'swap-off': 'fail' }, '/swapfile is in use'],
  'a swap file on /home': [swaps('/home/swap\\040file file\t1000\t0\t-2'), {}],
  'a swap list that is damaged': [swaps('nonsense'), { 'swap-off': 'error' }, 'malformed'],
  'swap in fstab on a disk of the system': [
    all(file('dev/vda2', ''), moreFstab('/dev/vda2 none swap defaults 0 0')),
    { 'swap-off': 'fail' },
    '/etc/fstab line 6: /dev/vda2 is on a system disk',
  ],
  'swap in fstab on another disk': [moreFstab('/dev/vdb none swap defaults 0 0'), {}],
  'swap in fstab on another disk that is read-only': [
    all(moreFstab('/dev/vdc none swap defaults 0 0'), file('dev/vdc', ''), ({ devices }) =>
      devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk', offered: true }),
    ),
    { 'swap-off': 'fail' },
  ],
  'swap in fstab on a missing device': [
    moreFstab('UUID=2 none swap sw 0 0'),
    { 'swap-off': 'fail' },
    'UUID=2 does not exist',
  ],
  'the same, with nofail': [moreFstab('UUID=2 none swap sw,nofail 0 0'), {}],
  'swap in fstab that is not used at boot': [moreFstab('/dev/vda2 none swap noauto 0 0'), {}],
  'a swap file in fstab': [moreFstab('/swapfile none swap sw 0 0'), { 'swap-off': 'fail' }],
});

testFindings('swap-off', {
  'swap-off': {
    'a partition of the system': [
      file('proc/swaps', 'Filename Type Size Used Priority\n/dev/dm-0 partition 1048572 0 -2\n'),
      'fail',
      '/dev/dm-0 is in use',
    ],
    'a kernel without swap': [file('proc/swaps', undefined), 'pass', 'none in use'],
    'a malformed list': [file('proc/swaps', 'hello\n'), 'error', 'does not begin with its heading'],
  },
});

const maintenance = suite('swap-off in maintenance');
maintenance('swap is not checked', async () => {
  const change = file('proc/swaps', 'Filename Type\n/dev/dm-0 partition 1 0 -2\n');
  assert.is((await findingOf('swap-off', change, { guest: maintenanceGuest() })).status, 'skip');
});
maintenance.run();
