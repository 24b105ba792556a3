/** Tests changes of the good guest in which a device has an identity of the sealed disk. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { all, disk, fstab, handoff, nothing } from '../../harness/changes.ts';
import {
  bothPartitions as both,
  cmdline,
  copied,
  device,
  part,
  record,
  records,
  secondDisk,
  xfs,
} from '../../harness/copies.ts';
import { findingOf, testFindings } from '../../harness/finding.ts';

const named = '/dev/vdc2 has UUID=1f5a-AB of /dev/vda2, which is on a sealed disk';

testFindings('impostor-absent', {
  'udev has no record of any device': [nothing, 'pass'],
  'a second disk with its own identities': [
    all(secondDisk(), record('252:2', xfs), record('252:34', { ...xfs, ID_FS_UUID: '2f5a-AB' })),
    'pass',
  ],
  'the UUID of a file system': [copied(xfs), `warn: ${named}`],
  'the initramfs recorded another disk below /': [
    all(copied(xfs), handoff({ DISKS: 'vdc:0:none' })),
    `fail: ${named}`,
  ],
  'late boot recorded the disk below /': [copied(xfs), handoff({ STAGE: 'late' }), `fail: ${named}`],
  'the record of the boot was removed': [
    copied(xfs),
    ({ files }) => {
      delete files['run/immutafs/boot.env'];
    },
    `fail: ${named}`,
  ],
  'the record of the boot was removed, and the copy is of another disk': [
    secondDisk(),
    records(['252:49', '252:34'], xfs),
    ({ files, devices }) => {
      delete files['run/immutafs/boot.env'];
      const vdd = { name: 'vdd', device: '252:48', bus: 'virtio-blk', offered: true } as const;
      devices.push({ ...vdd, partitions: { vdd1: '252:49' } });
    },
    'warn: /dev/vdc2 has UUID=1f5a-AB of /dev/vdd1',
  ],
  'the UUID in lower case': [
    all(secondDisk(), record('252:2', xfs), record('252:34', { ...xfs, ID_FS_UUID: '1f5a-ab' })),
    'warn: /dev/vdc2 has UUID=1f5a-ab of /dev/vda2',
  ],
  'a physical volume': [copied({ ID_FS_TYPE: 'LVM2_member', ID_FS_UUID: '8GSnDY-AcJg' }), 'warn'],
  'a LUKS header': [copied({ ID_FS_TYPE: 'crypto_LUKS', ID_FS_UUID: 'ab' }), 'warn'],
  'the UUID of a partition': [copied({ ...part, ID_PART_ENTRY_UUID: 'ab-02' }), 'warn: PARTUUID=ab-02'],
  'the UUID of a partition table': [
    all(secondDisk(), records(['252:0', '252:32'], { ID_PART_TABLE_UUID: 'ab' })),
    'warn: /dev/vdc has PTUUID=ab of /dev/vda',
  ],
  'several identities of one device are one line': [
    copied({ ...xfs, ...part, ID_PART_ENTRY_UUID: 'ab-02' }),
    'warn: /dev/vdc2 has UUID=1f5a-AB, PARTUUID=ab-02 of /dev/vda2',
  ],
  'default identifiers': [copied({ ...part, ID_PART_ENTRY_UUID: '00000000-02' }), 'pass'],
  'the second disk is read-only in the host, too': [
    all(secondDisk({ offered: true }), records(both, xfs)),
    'pass',
  ],
  'another path to the sealed disk, by its serial number': [
    all(copied(xfs), records(['252:0', '252:32'], { ID_SERIAL: 'same' })),
    'pass',
  ],
  'another path to the sealed disk that the initramfs rejected': [
    secondDisk(),
    records(['252:0', '252:32'], { ID_SERIAL: 'same' }),
    handoff({ IMPOSTOR: '/dev/vdc2 /dev/vda2 UUID=1f5a-AB' }),
    'pass',
  ],
  'another disk with its own serial number': [
    all(copied(xfs), record('252:0', { ID_SERIAL: 'one' }), record('252:32', { ID_SERIAL: 'other' })),
    `warn: ${named}`,
  ],
  'the second disk is read-only by a flag of the guest': [
    all(secondDisk({ readOnly: true }), records(both, xfs)),
    `warn: ${named}`,
  ],
  'a read-only disk without evidence ranks below a disk that the host made read-only': [
    secondDisk({ name: 'sda', bus: 'virtio-scsi', readOnly: true, partitions: { sda2: '252:34' } }),
    records(both, xfs),
    'warn: /dev/sda2 has UUID=1f5a-AB of /dev/vda2',
  ],
  'no disk is read-only': [disk({ offered: false }), copied(xfs), 'pass'],
  'an unused label': [copied({ ID_FS_LABEL_ENC: 'root' }), 'pass'],
  'a common partition label': [copied({ ...part, ID_PART_ENTRY_NAME: 'Linux\\x20filesystem' }), 'pass'],
  'a label that fstab uses': [
    all(copied({ ID_FS_LABEL_ENC: 'my\\x20opt' }), fstab('LABEL="my\\040opt" /opt xfs noauto,ro 0 0')),
    'warn: LABEL=my\\x20opt of /dev/vda2',
  ],
  'a label that the kernel command line uses': [
    all(copied({ ID_FS_LABEL_ENC: 'root' }), cmdline('root=LABEL=root')),
    'warn: /dev/vdc2 has LABEL=root of /dev/vda2',
  ],
  'a partition label that the kernel command line uses': [
    all(copied({ ...part, ID_PART_ENTRY_NAME: 'system' }), cmdline('root=/dev/disk/by-partlabel/system')),
    'warn: PARTLABEL=system',
  ],
  'a copy of an installation medium': [copied({ ID_FS_TYPE: 'iso9660', ID_FS_UUID: '2024-05-01' }), 'pass'],
  'a copy of an image that root= names': [
    all(copied({ ID_FS_TYPE: 'iso9660', ID_FS_UUID: '2024-05-01' }), cmdline('root=UUID=2024-05-01')),
    'warn',
  ],
  'two members of one array': [
    copied({ ID_FS_TYPE: 'linux_raid_member', ID_FS_UUID: 'ab' }),
    device({ name: 'md0', device: '9:0', on: ['vda2', 'vdc2'] }),
    'pass',
  ],
  'an array without the sealed member': [
    copied({ ID_FS_TYPE: 'linux_raid_member', ID_FS_UUID: 'ab' }),
    device({ name: 'md0', device: '9:0', on: ['vdc2'] }),
    'warn: /dev/vdc2 has UUID=ab',
  ],
  'two devices of one Btrfs, which is not supported': [
    copied({ ID_FS_TYPE: 'btrfs', ID_FS_UUID: 'ab' }),
    'warn: /dev/vdc2 has UUID=ab',
  ],
  'a device-mapper device above a device': [
    all(record('252:2', xfs), device({ name: 'dm-1', device: '253:1', on: ['vda2'] }), record('253:1', xfs)),
    'pass',
  ],
  'paths to one disk, of which one is read-only': [
    secondDisk(),
    records(['252:0', '252:32'], { DM_MULTIPATH_DEVICE_PATH: '1', ID_PART_TABLE_UUID: 'ab' }),
    records(both, xfs),
    device({ name: 'dm-1', device: '253:1', on: ['vda', 'vdc'] }),
    device({ name: 'dm-2', device: '253:2', on: ['dm-1'] }),
    record('253:2', xfs),
    'pass',
  ],
  'the boot skipped an impostor that is gone': [
    handoff({ IMPOSTOR: '/dev/vdz2 /dev/vda2 LABEL=my root' }),
    'warn: /dev/vdz2 has LABEL=my root of /dev/vda2',
  ],
  'the boot skipped an impostor that is still there: named once': [
    all(copied(xfs), handoff({ IMPOSTOR: '/dev/vdc2 /dev/vda2 VG=rhel' })),
    new RegExp(`^warn: ${named}$`),
  ],
  'more than fits a finding': [
    ...Array.from({ length: 20 }, (_, index) =>
      all(
        device({ name: `vdd${index}`, device: `259:${index}`, bus: 'virtio-blk' }),
        record(`259:${index}`, xfs),
      ),
    ),
    record('252:2', xfs),
    /^warn: ([^;]*; ){10}and 10 more$/,
  ],
});

const verdict = suite('impostor-absent: the verdict');
verdict('a copy beside a sealed guest is a warning: exit 0', async () => {
  assert.is((await findingOf('impostor-absent', copied(xfs))).verdict, 'sealed');
});
verdict.run();
