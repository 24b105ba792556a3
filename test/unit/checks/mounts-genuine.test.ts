/** Mounts of a copy in the place of a sealed disk: the good guest, changed. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Status } from '../../../agent/checks/check.ts';
import { evaluateHost } from '../../../agent/evaluate.ts';
import { exitCode } from '../../../agent/report/report.ts';
import {
  type Change,
  all,
  disk,
  edit,
  file,
  fstab,
  handoff,
  mount,
  nothing,
  without,
} from '../../harness/changes.ts';
import {
  bothPartitions as both,
  cmdline,
  copied,
  device,
  part,
  physicalVolume,
  plainRoot,
  record,
  records,
  secondDisk,
  xfs,
} from '../../harness/copies.ts';
import { testFindings } from '../../harness/finding.ts';
import { goodGuest, maintenanceGuest, withGuest } from '../../harness/guest.ts';

const rootAt = (source: string, properties: Record<string, string>) =>
  all(plainRoot('252:34'), copied(properties), cmdline(`root=${source}`), fstab());
const bootFrom = (number: string) => edit('boot', '252:1', number);
const bootCopied = all(secondDisk(), records(['252:1', '252:33'], { ID_FS_TYPE: 'xfs', ID_FS_UUID: '1' }));
const linkToCopy = file('dev/disk/by-uuid/1', { linkTo: '../../vdc1' });
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

testFindings('copies', {
  'mounts-genuine': {
    'nothing is known of any device': [nothing, 'pass'],
    'a copy is there, and nothing of it is mounted': [copied(xfs), 'pass'],
    ...Object.fromEntries(
      (
        [
          ['UUID=1f5a-ab', xfs],
          ['LABEL=root', { ID_FS_LABEL_ENC: 'root' }],
          ['PARTUUID=ab-02', { ...part, ID_PART_ENTRY_UUID: 'ab-02' }],
          ['PARTLABEL=system', { ...part, ID_PART_ENTRY_NAME: 'system' }],
          ['/dev/disk/by-uuid/1f5a-AB', xfs],
          ['block:LABEL=root', { ID_FS_LABEL_ENC: 'root' }],
        ] as const
      ).map(([source, properties]): [string, [Change, Status, string]] => [
        `root=${source} is a copy`,
        [rootAt(source, properties), 'fail', 'the system runs from the impostor /dev/vdc2'],
      ]),
    ),
    'root= names the device, and its content is a copy': [rootAt('/dev/vda2', xfs), 'fail', 'UUID=1f5a-AB'],
    'root= was given twice: the last counts': [
      all(
        plainRoot('252:34'),
        secondDisk(),
        record('252:2', { ID_FS_LABEL_ENC: 'a' }),
        record('252:34', { ID_FS_LABEL_ENC: 'b' }),
        cmdline('root=LABEL=a root=LABEL=b'),
        fstab(),
      ),
      'pass',
    ],
    'fstab asks for the root': [
      all(rootAt('/dev/vda2', { ID_FS_LABEL_ENC: 'root' }), fstab('LABEL=root / ext4 ro 0 0')),
      'fail',
      'LABEL=root is on the sealed /dev/vda2',
    ],
    'the sealed disk is SCSI, and the kernel’s log no longer says who made it read-only': [
      all(
        rootAt('UUID=1f5a-AB', xfs),
        disk({
          name: 'sda',
          bus: 'virtio-scsi',
          readOnly: true,
          offered: false,
          partitions: { sda1: '252:1', sda2: '252:2' },
        }),
      ),
      'fail',
      'UUID=1f5a-AB is on the sealed /dev/sda2',
    ],
    'the device that is mounted is gone': [
      all(rootAt('UUID=1f5a-AB', xfs), (guest) => {
        guest.devices = guest.devices.filter(({ name }) => name !== 'vdc');
      }),
      'fail',
      'the system runs from the impostor /dev/x',
    ],
    'the root is where it belongs, and so is a copy': [
      all(
        plainRoot('252:2'),
        copied({ ...xfs, ID_FS_LABEL_ENC: 'root' }),
        cmdline('root=LABEL=root'),
        fstab(),
      ),
      'pass',
    ],
    'the root is the copy that the host made read-only, too': [
      all(
        plainRoot('252:34'),
        secondDisk({ offered: true }),
        records(both, xfs),
        cmdline('root=UUID=1f5a-AB'),
        fstab(),
      ),
      'pass',
    ],
    'the copy of the root has the flag of a read-only device': [
      all(
        plainRoot('252:34'),
        secondDisk({ readOnly: true }),
        records(both, xfs),
        cmdline('root=UUID=1f5a-AB'),
        fstab(),
      ),
      'fail',
    ],
    'the copy of /boot is mounted, and the link points to it': [
      all(bootCopied, bootFrom('252:33'), linkToCopy),
      'fail',
      '/boot is mounted from the impostor /dev/vdc1: UUID=1 is on the sealed /dev/vda1',
    ],
    '/boot is the true one, and the link points to the copy': [all(bootCopied, linkToCopy), 'pass'],
    'the copy of /usr, by mount.usr=': [
      all(
        copied({ ID_FS_LABEL_ENC: 'usr' }),
        mount('usr', '252:34 / /usr ro - xfs /dev/vdc2 ro'),
        cmdline('root=/dev/mapper/rhel-root mount.usr=LABEL=usr'),
        fstab('LABEL=usr /usr xfs ro 0 0'),
      ),
      'fail',
      '/usr is mounted from the impostor /dev/vdc2',
    ],
    '/opt is on a disk of its own, which is no copy': [
      all(
        copied({}),
        record('252:34', xfs),
        mount('opt', '252:34 / /opt rw - xfs /dev/vdc2 rw'),
        fstab('UUID=1f5a-AB /opt xfs noexec 0 0'),
      ),
      'pass',
    ],
    'what fstab has and is not mounted': [
      all(copied(xfs), fstab('UUID=1f5a-AB /opt xfs noauto,ro 0 0')),
      'pass',
    ],
    'a file system below /var with a layer, over the copy': [
      all(
        copied(xfs),
        mount('lowerlog', '252:34 / /run/immutafs/below/var+log ro - xfs /dev/vdc2 ro'),
        mount('varlog', '0:50 / /var/log rw - overlay immutafs rw,lowerdir=/run/immutafs/below/var+log'),
        handoff({ LAYER: '/var/log overlay' }),
        fstab('UUID=1f5a-AB /var/log xfs defaults 0 0'),
      ),
      'fail',
      '/var/log is mounted from the impostor /dev/vdc2',
    ],
    'the same over the true one': [
      all(
        copied(xfs),
        mount('lowerlog', '252:2 / /run/immutafs/below/var+log ro - xfs /dev/vda2 ro'),
        mount('varlog', '0:50 / /var/log rw - overlay immutafs rw,lowerdir=/run/immutafs/below/var+log'),
        handoff({ LAYER: '/var/log overlay' }),
        fstab('UUID=1f5a-AB /var/log xfs defaults 0 0'),
      ),
      'pass',
    ],
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
    'a Btrfs from a device that is not known': [
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
    'udev’s database cannot be read': [record('252:2', { A: 'x'.repeat(300_000) }), 'error', 'larger than'],
  },
  'fstab-consistent': {
    'the link points to the copy, the true one is mounted': [all(bootCopied, linkToCopy), 'pass'],
    'the copy is mounted: mounts-genuine says so': [all(bootCopied, bootFrom('252:33'), linkToCopy), 'pass'],
    'something else is mounted': [all(bootCopied, bootFrom('252:34'), linkToCopy), 'fail', 'not from UUID=1'],
  },
  'stacked-mounts': {
    'another database of udev': [
      mount('over', '0:60 / /run/udev/data rw - tmpfs evil rw'),
      'fail',
      '/run/udev/data is tmpfs (evil), not what was sealed',
    ],
  },
});

const verdicts = suite('the verdict where the system runs from a copy');
/** Not sealed: the copy was mounted writable, as after an attack, and the boot said maintenance. */
const attacked = all(
  rootAt('UUID=1f5a-AB', xfs),
  edit('root', / ro(,relatime .*) ro$/, ' rw$1 rw'),
  without('var', 'upper', 'lower'),
  handoff({ MODE: 'maintenance', REASON: 'disk vdc is writable', VAR: 'disk' }),
);
for (const [title, change, expected] of [
  ['maintenance was said', attacked, ['sealed', 'failed', 1]],
  ['nothing was said', all(attacked, file('run/immutafs/boot.env', undefined)), ['sealed', 'failed', 1]],
  ['MODE=off', all(attacked, file('etc/immutafs/immutafs.conf', 'MODE=off\n')), ['sealed', 'failed', 1]],
  [
    'the twin: no disk is read-only in the host',
    all(attacked, disk({ offered: false })),
    ['maintenance', 'maintenance', 4],
  ],
  [
    'the twin: the read-only disk has other identities',
    all(attacked, record('252:2', { ...xfs, ID_FS_UUID: 'other' })),
    ['maintenance', 'maintenance', 4],
  ],
] as const) {
  verdicts(title, async () => {
    const guest = goodGuest();
    change(guest);
    const report = await withGuest(guest, (reader) => evaluateHost(reader));
    assert.equal([report.mode, report.verdict, exitCode(report)], [...expected]);
  });
}

verdicts('maintenance with an ISO, a read-only data disk and a data disk: maintenance, exit 4', async () => {
  const guest = maintenanceGuest();
  all(
    device({ name: 'sr0', device: '11:0', bus: 'ata', readOnly: true }),
    record('11:0', { ID_FS_TYPE: 'iso9660', ID_FS_UUID: '2024', ID_FS_LABEL_ENC: 'cidata' }),
    secondDisk({ offered: true }),
    record('252:34', xfs),
    record('252:2', { ...xfs, ID_FS_UUID: 'own' }),
  )(guest);
  const report = await withGuest(guest, (reader) => evaluateHost(reader));
  assert.equal([report.mode, report.verdict, exitCode(report)], ['maintenance', 'maintenance', 4]);
  assert.equal(report.impostors, []);
});

verdicts.run();
