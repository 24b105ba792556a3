/** Tests copies under arrays, encrypted devices, Btrfs and volume groups. */
import { all, file, fstab, mount } from '../../harness/changes.ts';
import {
  cmdline,
  copied,
  device,
  physicalVolume,
  plainRoot,
  record,
  secondDisk,
  xfs,
} from '../../harness/copies.ts';
import { testFindings } from '../../harness/finding.ts';

const lvm = { DM_VG_NAME: 'rhel', DM_LV_NAME: 'root' };
const volume = (group: string, on: string[], name = 'dm-0', number = '253:0') =>
  all(
    (guest) => {
      guest.devices = guest.devices.filter((each) => each.name !== name);
    },
    device({
      name,
      device: number,
      on,
      dm: { name: 'rhel-root', uuid: `LVM-${group.padEnd(32, 'x')}${'y'.repeat(32)}` },
    }),
    record(number, lvm),
  );
const pv = (uuid: string) => ({ ID_FS_TYPE: 'LVM2_member', ID_FS_UUID: uuid });
const sealedGroup = '8oAmW01vNnIqipJlr06oc2XU7CGXVBa6';

testFindings('mounts-genuine: arrays, LUKS, Btrfs, LVM', {
  'mounts-genuine': {
    'an array of the copy alone': [
      all(
        plainRoot('9:0'),
        copied({ ID_FS_TYPE: 'linux_raid_member', ID_FS_UUID: 'ab' }),
        device({ name: 'md0', device: '9:0', on: ['vdc2'] }),
        record('9:0', xfs),
        cmdline('root=UUID=1f5a-AB'),
        fstab(),
      ),
      'fail',
      'the system runs from the impostor /dev/vdc2: UUID=ab is on the sealed /dev/vda2',
    ],
    'an array of both: partial, not an impostor': [
      all(
        plainRoot('9:0'),
        copied({ ID_FS_TYPE: 'linux_raid_member', ID_FS_UUID: 'ab' }),
        device({ name: 'md0', device: '9:0', on: ['vda2', 'vdc2'] }),
        record('9:0', xfs),
        cmdline('root=UUID=1f5a-AB'),
        fstab(),
      ),
      'pass',
    ],
    'a copied LUKS header': [
      all(
        plainRoot('253:1'),
        copied({ ID_FS_TYPE: 'crypto_LUKS', ID_FS_UUID: 'ab' }),
        device({ name: 'dm-1', device: '253:1', on: ['vdc2'], dm: { name: 'luks-ab', uuid: 'CRYPT-1' } }),
        cmdline('root=/dev/mapper/luks-ab rd.luks.uuid=luks-ab'),
        fstab(),
      ),
      'fail',
      'UUID=ab is on the sealed /dev/vda2',
    ],
    'a Btrfs of the copy': [
      all(
        copied({ ID_FS_TYPE: 'btrfs', ID_FS_UUID: 'ab' }),
        file('sys/fs/btrfs/ab/devices/vdc2', ''),
        mount('opt', '0:60 / /opt ro - btrfs /dev/vdc2 ro'),
        fstab('UUID=ab /opt btrfs ro 0 0'),
      ),
      'fail',
      '/opt is mounted from the impostor /dev/vdc2',
    ],
    'a Btrfs of both, which names the writable one': [
      all(
        copied({ ID_FS_TYPE: 'btrfs', ID_FS_UUID: 'ab' }),
        file('sys/fs/btrfs/ab/devices/vda2', ''),
        file('sys/fs/btrfs/ab/devices/vdc2', ''),
        mount('opt', '0:60 / /opt ro - btrfs /dev/vdc2 ro'),
        fstab('UUID=ab /opt btrfs ro 0 0'),
      ),
      'pass',
    ],
    'a Btrfs from an unknown device': [
      all(
        copied(xfs),
        mount('opt', '0:60 / /opt ro - btrfs /dev/gone ro'),
        fstab('UUID=ab /opt btrfs ro 0 0'),
      ),
      'error',
      '/dev/gone',
    ],
    'another volume group of the same name': [
      all(
        secondDisk(),
        record('252:2', pv('a')),
        record('252:34', pv('b')),
        physicalVolume('vda2'),
        volume('another', ['vdc2']),
      ),
      'fail',
      'the system runs from the impostor /dev/vdc2: VG=rhel is on the sealed /dev/vda2',
    ],
    'a volume group on both disks': [
      all(
        secondDisk(),
        record('252:2', pv('a')),
        record('252:34', pv('b')),
        physicalVolume('vda2'),
        volume(sealedGroup, ['vdc2']),
      ),
      'pass',
    ],
    'another volume group on the writable disk, for data': [
      all(
        secondDisk(),
        record('252:2', pv('a')),
        record('252:34', pv('b')),
        volume('sealed', ['vda2']),
        device({
          name: 'dm-1',
          device: '253:1',
          on: ['vdc2'],
          dm: { name: 'data-srv', uuid: `LVM-${'d'.repeat(64)}` },
        }),
        record('253:1', { DM_VG_NAME: 'data', ...xfs }),
        mount('srv', '253:1 / /srv rw - xfs /dev/mapper/data-srv rw'),
        fstab('UUID=1f5a-AB /srv xfs noexec 0 0'),
      ),
      'pass',
    ],
  },
});
