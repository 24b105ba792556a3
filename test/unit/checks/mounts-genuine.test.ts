/** Tests changes of the good guest in which file systems are mounted from a copy instead of the sealed disk. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Report, exitCode } from '../../../agent/report/report.ts';
import {
  type Change,
  all,
  config,
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
import { type Recording, el7Guest } from '../../harness/el7-guest.ts';
import { type Cases, inEach, testFindings } from '../../harness/finding.ts';
import { evaluateFixture, goodGuest, maintenanceGuest } from '../../harness/guest.ts';

const rootAt = (source: string, properties: Record<string, string>) =>
  all(plainRoot('252:34'), copied(properties), cmdline(`root=${source}`), fstab());
const bootFrom = (number: string) => edit('boot', '252:1', number);
const bootCopied = all(secondDisk(), records(['252:1', '252:33'], { ID_FS_TYPE: 'xfs', ID_FS_UUID: '1' }));
const linkToCopy = file('dev/disk/by-uuid/1', { linkTo: '../../vdc1' });
const overlayOnOpt = (device: string) => [
  config('OVERLAY=/opt\n'),
  mount('viewopt', `${device} / /run/immutafs/below/opt ro - xfs /dev/x ro`),
  mount(
    'opt',
    '0:50 / /opt rw,nosuid,nodev - overlay immutafs rw,lowerdir=/run/immutafs/below/opt,upperdir=/run/var/below/opt/upper,workdir=/run/var/below/opt/work',
  ),
];
const rootFrom = (source: string, properties: Record<string, string>): Cases[string] => [
  rootAt(source, properties),
  'fail: the system runs from the impostor /dev/vdc2',
];
testFindings('mounts-genuine', {
  'udev has no record of any device': [nothing, 'pass'],
  'a copy exists and is not mounted': [copied(xfs), 'pass'],
  ...inEach(['UUID=1f5a-ab', '/dev/disk/by-uuid/1f5a-AB'], (source) => rootFrom(source, xfs)),
  ...inEach(['LABEL=root', 'block:LABEL=root'], (source) => rootFrom(source, { ID_FS_LABEL_ENC: 'root' })),
  'PARTUUID=': rootFrom('PARTUUID=ab-02', { ...part, ID_PART_ENTRY_UUID: 'ab-02' }),
  'PARTLABEL=': rootFrom('PARTLABEL=system', { ...part, ID_PART_ENTRY_NAME: 'system' }),
  'root= names the device, and its content is a copy': [rootAt('/dev/vda2', xfs), 'fail: UUID=1f5a-AB'],
  'root= is given twice: the last one counts': [
    plainRoot('252:34'),
    secondDisk(),
    record('252:2', { ID_FS_LABEL_ENC: 'a' }),
    record('252:34', { ID_FS_LABEL_ENC: 'b' }),
    cmdline('root=LABEL=a root=LABEL=b'),
    fstab(),
    'pass',
  ],
  'fstab names the root': [
    all(rootAt('/dev/vda2', { ID_FS_LABEL_ENC: 'root' }), fstab('LABEL=root / ext4 ro 0 0')),
    'fail: LABEL=root is on the sealed /dev/vda2',
  ],
  'the sealed disk is SCSI, without evidence of write protection': [
    rootAt('UUID=1f5a-AB', xfs),
    disk({
      name: 'sda',
      bus: 'virtio-scsi',
      readOnly: true,
      offered: false,
      partitions: { sda1: '252:1', sda2: '252:2' },
    }),
    'fail: UUID=1f5a-AB is on the sealed /dev/sda2',
  ],
  'the mounted device is gone': [
    rootAt('UUID=1f5a-AB', xfs),
    (guest) => {
      guest.devices = guest.devices.filter(({ name }) => name !== 'vdc');
    },
    'fail: the system runs from the impostor /dev/x',
  ],
  'the root is mounted from the sealed disk beside a copy': [
    all(plainRoot('252:2'), copied({ ...xfs, ID_FS_LABEL_ENC: 'root' }), cmdline('root=LABEL=root'), fstab()),
    'pass',
  ],
  'the root is the copy that the host made read-only, too': [
    plainRoot('252:34'),
    secondDisk({ offered: true }),
    records(both, xfs),
    cmdline('root=UUID=1f5a-AB'),
    fstab(),
    'pass',
  ],
  'the copy of the root has the flag of a read-only device': [
    plainRoot('252:34'),
    secondDisk({ readOnly: true }),
    records(both, xfs),
    cmdline('root=UUID=1f5a-AB'),
    fstab(),
    'fail',
  ],
  'the copy of /boot is mounted, and the link points to it': [
    all(bootCopied, bootFrom('252:33'), linkToCopy),
    'fail: /boot is mounted from the impostor /dev/vdc1: UUID=1 is on the sealed /dev/vda1',
  ],
  'the original /boot is mounted, and the link points to the copy': [bootCopied, linkToCopy, 'pass'],
  'the copy of /usr, by mount.usr=': [
    copied({ ID_FS_LABEL_ENC: 'usr' }),
    mount('usr', '252:34 / /usr ro - xfs /dev/vdc2 ro'),
    cmdline('root=/dev/mapper/rhel-root mount.usr=LABEL=usr'),
    fstab('LABEL=usr /usr xfs ro 0 0'),
    'fail: /usr is mounted from the impostor /dev/vdc2',
  ],
  '/opt is on its own disk, which is not a copy': [
    copied({}),
    record('252:34', xfs),
    mount('opt', '252:34 / /opt rw - xfs /dev/vdc2 rw'),
    fstab('UUID=1f5a-AB /opt xfs noexec 0 0'),
    'pass',
  ],
  'an overlay of OVERLAY over the copy': [
    all(copied(xfs), ...overlayOnOpt('252:34'), fstab('UUID=1f5a-AB /opt xfs ro 0 0')),
    'fail: /opt is mounted from the impostor /dev/vdc2',
  ],
  'an overlay of OVERLAY over the sealed volume': [
    all(copied(xfs), ...overlayOnOpt('252:2'), fstab('UUID=1f5a-AB /opt xfs ro 0 0')),
    'pass',
  ],
  'a line of fstab that is not mounted': [copied(xfs), fstab('UUID=1f5a-AB /opt xfs noauto,ro 0 0'), 'pass'],
  'an overlay below /var over the copy': [
    copied(xfs),
    mount('lowerlog', '252:34 / /run/immutafs/below/var+log ro - xfs /dev/vdc2 ro'),
    mount('varlog', '0:50 / /var/log rw - overlay immutafs rw,lowerdir=/run/immutafs/below/var+log'),
    handoff({ LAYER: '/var/log overlay' }),
    fstab('UUID=1f5a-AB /var/log xfs defaults 0 0'),
    'fail: /var/log is mounted from the impostor /dev/vdc2',
  ],
  'an overlay below /var over the original': [
    copied(xfs),
    mount('lowerlog', '252:2 / /run/immutafs/below/var+log ro - xfs /dev/vda2 ro'),
    mount('varlog', '0:50 / /var/log rw - overlay immutafs rw,lowerdir=/run/immutafs/below/var+log'),
    handoff({ LAYER: '/var/log overlay' }),
    fstab('UUID=1f5a-AB /var/log xfs defaults 0 0'),
    'pass',
  ],
  'udev’s database cannot be read': [record('252:2', { A: 'x'.repeat(300_000) }), 'error: larger than'],
});

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
const physicalVolumes = all(secondDisk(), record('252:2', pv('a')), record('252:34', pv('b')));
/** The group and the physical volume in the metadata of physicalVolume(). */
const [sealedGroup, listed] = ['8oAmW01vNnIqipJlr06oc2XU7CGXVBa6', 'mdMpQ6-00I9-7n7N-F3D6-hDij-h9kH-ePIbPo'];

testFindings('mounts-genuine: arrays, LUKS, Btrfs, LVM', {
  'an array of the copy alone': [
    plainRoot('9:0'),
    copied({ ID_FS_TYPE: 'linux_raid_member', ID_FS_UUID: 'ab' }),
    device({ name: 'md0', device: '9:0', on: ['vdc2'] }),
    record('9:0', xfs),
    cmdline('root=UUID=1f5a-AB'),
    fstab(),
    'fail: the system runs from the impostor /dev/vdc2: UUID=ab is on the sealed /dev/vda2',
  ],
  'an array of both: partial, not an impostor': [
    plainRoot('9:0'),
    copied({ ID_FS_TYPE: 'linux_raid_member', ID_FS_UUID: 'ab' }),
    device({ name: 'md0', device: '9:0', on: ['vda2', 'vdc2'] }),
    record('9:0', xfs),
    cmdline('root=UUID=1f5a-AB'),
    fstab(),
    'pass',
  ],
  'a copied LUKS header': [
    plainRoot('253:1'),
    copied({ ID_FS_TYPE: 'crypto_LUKS', ID_FS_UUID: 'ab' }),
    device({ name: 'dm-1', device: '253:1', on: ['vdc2'], dm: { name: 'luks-ab', uuid: 'CRYPT-1' } }),
    cmdline('root=/dev/mapper/luks-ab rd.luks.uuid=luks-ab'),
    fstab(),
    'fail: UUID=ab is on the sealed /dev/vda2',
  ],
  'a Btrfs of the copy': [
    copied({ ID_FS_TYPE: 'btrfs', ID_FS_UUID: 'ab' }),
    mount('opt', '0:60 / /opt ro - btrfs /dev/vdc2 ro'),
    fstab('UUID=ab /opt btrfs ro 0 0'),
    'fail: /opt is mounted from the impostor /dev/vdc2',
  ],
  'a Btrfs from an unknown device': [
    copied(xfs),
    mount('opt', '0:60 / /opt ro - btrfs /dev/gone ro'),
    fstab('UUID=ab /opt btrfs ro 0 0'),
    'error: /dev/gone',
  ],
  'another volume group of the same name': [
    physicalVolumes,
    physicalVolume('vda2'),
    volume('another', ['vdc2']),
    'fail: the system runs from the impostor /dev/vdc2: VG=rhel is on the sealed /dev/vda2',
  ],
  'a volume group on both disks': [
    physicalVolumes,
    record('252:34', pv(listed)),
    physicalVolume('vda2'),
    volume(sealedGroup, ['vdc2']),
    'pass',
  ],
  'a volume that the sealed metadata does not list': [
    physicalVolumes,
    physicalVolume('vda2'),
    volume(sealedGroup, ['vdc2']),
    'fail: the system runs from the impostor /dev/vdc2: VG=rhel is on the sealed /dev/vda2',
  ],
  'likewise, beside the sealed one': [
    physicalVolumes,
    physicalVolume('vda2'),
    volume(sealedGroup, ['vda2', 'vdc2']),
    'fail: the system runs from the impostor /dev/vdc2: VG=rhel is on the sealed /dev/vda2',
  ],
  'the same volume group by another name': [
    physicalVolumes,
    physicalVolume('vda2'),
    volume(sealedGroup, ['vdc2']),
    record('253:0', { DM_VG_NAME: 'evil', DM_LV_NAME: 'root' }),
    'fail: the system runs from the impostor /dev/vdc2: VG=rhel is on the sealed /dev/vda2',
  ],
  'a volume group on both disks, of which the metadata cannot be read': [
    physicalVolumes,
    volume(sealedGroup, ['vda2', 'vdc2']),
    'pass',
  ],
  'another volume group on the writable disk, for data': [
    physicalVolumes,
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
    'pass',
  ],
});

const verdicts = suite('mounts-genuine: the verdict if the system runs from a copy');
/**
 * A guest that is not sealed: as after an attack, the copy is mounted writable, and the boot chose maintenance mode.
 */
const attacked = all(
  rootAt('UUID=1f5a-AB', xfs),
  edit('root', / ro(,relatime .*) ro$/, ' rw$1 rw'),
  without('var', 'upper', 'lower'),
  handoff({ MODE: 'maintenance', REASON: 'disk vdc is writable', VAR: 'disk' }),
);
const verdictOf = (report: Report) => [report.mode, report.verdict, exitCode(report)];
const maintained = ['maintenance', 'maintenance', 4];
for (const [title, change, expected] of [
  ['the boot record says maintenance', attacked, ['sealed', 'failed', 1]],
  [
    'there is no boot record',
    all(attacked, file('run/immutafs/boot.env', undefined)),
    ['sealed', 'failed', 1],
  ],
  ['MODE=off', all(attacked, config('MODE=off\n')), ['sealed', 'failed', 1]],
  ['counterpart: no disk is read-only in the host', all(attacked, disk({ offered: false })), maintained],
  [
    'counterpart: the read-only disk has other identities',
    all(attacked, record('252:2', { ...xfs, ID_FS_UUID: 'other' })),
    maintained,
  ],
] as const) {
  verdicts(title, async () => {
    const guest = goodGuest();
    change(guest);
    assert.equal(verdictOf(await evaluateFixture(guest)), expected);
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
  const report = await evaluateFixture(guest);
  assert.equal([verdictOf(report), report.impostors], [maintained, []]);
});
verdicts.run();

/** Recordings of a RHEL 7 guest with a writable copy of its system disk; see test/fixtures/el7/README.md. */
async function reportOf(name: Recording, change: Change = nothing) {
  const guest = el7Guest(name);
  change(guest);
  const report = await evaluateFixture(guest);
  const [impostor, genuine] = ['impostor-absent', 'mounts-genuine'].map((id) =>
    report.checks.find((each) => each.id === id),
  );
  return { report, impostor, genuine };
}
const textOf = (content: unknown) => (typeof content === 'string' ? content : '');

const el7 = suite('mounts-genuine: RHEL 7 beside a copy of its disk');
el7('sealed, without a copy: no impostor', async () => {
  const { report, impostor, genuine } = await reportOf('clone-second', (guest) => {
    guest.devices = guest.devices.filter(({ name }) => name !== 'vdb');
  });
  assert.equal([verdictOf(report), report.impostors], [['sealed', 'sealed', 0], []]);
  assert.equal([impostor?.status, genuine?.status], ['pass', 'pass']);
});

el7('the system runs from the sealed disk, the copy is named, exit 0', async () => {
  const { report, impostor, genuine } = await reportOf('clone-second');
  assert.equal(verdictOf(report), ['sealed', 'sealed', 0]);
  assert.equal(
    report.impostors.map(({ device: copy, sealedDevice, identity }) => [copy, sealedDevice, identity]),
    [
      ['/dev/vdb1', '/dev/vda1', 'UUID=17d73eec-69d4-46d1-bf44-bfeba7e36233'],
      ['/dev/vdb2', '/dev/vda2', 'UUID=8GSnDY-AcJg-aMUB-RyMr-y5sS-pngr-ZJBqEQ'],
    ],
  );
  assert.equal([impostor?.status, genuine?.status], ['warn', 'pass']);
  for (const name of ['/dev/vdb1', '/dev/vda1', '/dev/vdb2', '/dev/vda2'])
    assert.ok(impostor?.observed.includes(name), name);
});

el7('root runs from the copy: never maintenance, failed, exit 1, both devices named', async () => {
  const { report, genuine } = await reportOf('clone-first');
  assert.equal(verdictOf(report), ['sealed', 'failed', 1]);
  assert.equal([genuine?.status, genuine?.severity], ['fail', 'required']);
  for (const name of ['/dev/vda2', '/dev/vdb2'])
    assert.ok(genuine?.observed.includes(name) && report.reason.includes(name), name);
  for (const { id, remedy } of report.checks)
    assert.not.match(remedy, /virt-xml|read-only/, `${id} advises to seal the copy`);
});

el7('the same with immutafs=off: mode off, verdict failed', async () => {
  const { report } = await reportOf('clone-first', ({ files }) => {
    files['proc/cmdline'] = `${textOf(files['proc/cmdline']).trim()} immutafs=off\n`;
    files['run/immutafs/boot.env'] = textOf(files['run/immutafs/boot.env']).replace('maintenance', 'off');
  });
  assert.equal(verdictOf(report), ['off', 'failed', 1]);
});

el7('counterpart: without the sealed disk the same guest is in maintenance', async () => {
  const { report } = await reportOf('clone-first', ({ devices }) => {
    const index = devices.findIndex(({ name }) => name === 'vdb');
    devices[index] = { ...devices[index], offered: false } as (typeof devices)[number];
  });
  assert.equal([verdictOf(report), report.impostors], [maintained, []]);
});
el7.run();
