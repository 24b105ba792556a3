import { type Change, all, config, file, mount, scratchDisk } from '../../harness/changes.ts';
import { testChanges } from '../../harness/finding.ts';

const record = (name: string, state: string, reason = '', remedy = '') =>
  file(`run/immutafs/scratch/${name}`, `STATE=${state}\nREASON=${reason}\nREMEDY=${remedy}\n`);
const overlay =
  '0:60 / /var/cache/app rw,nosuid,nodev,noexec - overlay immutafs rw,lowerdir=/run/immutafs/lower/cache/app,upperdir=/run/immutafs/scratch-disk/var=cache=app/upper,workdir=/run/immutafs/scratch-disk/var=cache=app/work';
const items = config('SCRATCH=/var/cache/app /srv/store:empty\nSCRATCH_DEVICE=/dev/disk/by-id/virtio-s\n');

const onDisk: Change = all(
  items,
  scratchDisk(),
  mount('app', overlay),
  mount(
    'store',
    '253:9 /srv=store/data /srv/store rw,nosuid,nodev,noexec - xfs /dev/mapper/immutafs-scratch rw',
  ),
  record('var=cache=app', 'disk'),
  record('srv=store', 'disk'),
);

testChanges('scratch-paths', {
  'SCRATCH is empty': [config(''), {}],
  'an overlay and a directory of the device': [onDisk, { 'scratch-paths': 'pass' }, 'key of this boot'],
  'one path is in memory': [
    all(onDisk, record('srv=store', 'memory', '/dev/vdb has no mark', 'Mark it.')),
    { 'scratch-paths': 'warn' },
    '/srv/store: in memory, /dev/vdb has no mark',
  ],
  'a required path is read-only': [
    all(onDisk, record('srv=store', 'read-only', '/dev/vdb has no mark', 'Mark it.')),
    { 'scratch-paths': 'fail' },
    '/srv/store: read-only, /dev/vdb has no mark',
  ],
  'a path that the configuration does not permit': [
    all(onDisk, record('srv=store', 'failed', '/srv/store is a symbolic link', 'Name the directory.')),
    { 'scratch-paths': 'fail' },
    '/srv/store: /srv/store is a symbolic link',
  ],
  'no record': [items, { 'scratch-paths': 'fail' }, 'the boot did not try to provide it'],
  'recorded, and mounted from another file system': [
    all(onDisk, mount('store', '252:17 / /srv/store rw,nosuid,nodev,noexec - xfs /dev/vdb1 rw')),
    { 'scratch-paths': 'fail' },
    'no longer mounted from SCRATCH_DEVICE',
  ],
  'another file system at the place of the scratch disk': [
    all(
      onDisk,
      mount('scratch', '252:17 / /run/immutafs/scratch-disk rw,nosuid,nodev,noexec - ext4 /dev/vdb1 rw'),
    ),
    { 'scratch-paths': 'fail' },
    'is no longer that of the boot',
  ],
  'a mapping of the same name on another device': [
    all(onDisk, scratchDisk('vda')),
    { 'scratch-paths': 'fail' },
    'is no longer that of the boot',
  ],
  'a disk that was removed while it is in use': [
    all(onDisk, scratchDisk('removed')),
    { 'scratch-paths': 'fail' },
    'or its disk is gone',
  ],
  'a boot that opened no device': [
    all(onDisk, file('run/immutafs/scratch-device', 'STATE=failed\nREASON=x\nREMEDY=y\nDEVICE=\n')),
    { 'scratch-paths': 'fail' },
    'is no longer that of the boot',
  ],
  'a record that the boot did not write': [
    all(onDisk, file('run/immutafs/scratch/srv=store', 'x')),
    { 'scratch-paths': 'error' },
    'not a record',
  ],
});
