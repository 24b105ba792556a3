import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../agent/lib/errors.ts';
import type { SystemReader } from '../../../agent/system/reader.ts';
import { type Change, all, config, disk, file, fstab, handoff } from '../../harness/changes.ts';
import { asUser, findingOf, lastReportOf, testChanges, testFindings } from '../../harness/finding.ts';
import type { Report } from '../../../agent/report/report.ts';
import { evaluateGuest } from '../../../agent/evaluate.ts';
import type { Bus } from '../../harness/buses.ts';
import { goodGuest, withGuest } from '../../harness/guest.ts';

/** Puts the root on a SCSI disk whose read-only flag is set. */
function scsi(log: string[]): Change {
  return ({ devices, answers }) => {
    const partitions = { sda1: '252:1', sda2: '252:2' };
    devices[0] = { name: 'sda', device: '8:0', bus: 'virtio-scsi', readOnly: true, partitions };
    devices[2] = { name: 'dm-0', device: '253:0', on: ['sda2'], readOnly: true };
    answers.kernelLog = log;
  };
}

/** Adds a writable disk, and gives it and the system disk serial numbers. */
const secondDisk = (serial: string, other: string): Change =>
  all(
    ({ devices }) => {
      devices.push({ name: 'vdc', device: '252:32', bus: 'virtio-blk' });
    },
    file('run/udev/data/b252:0', `E:ID_SERIAL=${serial}\n`),
    file('run/udev/data/b252:32', `E:ID_SERIAL=${other}\n`),
  );
/** Gives two SCSI disks, of which the second one is writable, data as udev has it. */
const scsiDisks = (data: string): Change =>
  all(
    scsi(['5,300,1000000,-;sd 2:0:0:0: [sda] Write Protect is on\n SUBSYSTEM=scsi']),
    ({ devices }) => {
      devices.push({ name: 'sdb', device: '8:16', bus: 'virtio-scsi' });
    },
    file('run/udev/data/b8:0', data),
    file('run/udev/data/b8:16', data),
  );

/** Puts the volume below / on these devices. */
const rootOn =
  (...on: string[]): Change =>
  ({ devices }) => {
    devices[2] = { name: 'dm-0', device: '253:0', on, readOnly: true };
  };
/** Puts / on a Btrfs of the system disk. */
const btrfs = all(
  file('dev/vda2', ''),
  ({ mounts }) => {
    mounts['root'] = '0:30 / / ro,seclabel - btrfs /dev/vda2 ro';
  },
  fstab('UUID=1 /boot xfs ro 0 0'),
);
const removed = /^fail: .*removed, which is below dm-0, was removed/;

testChanges(
  'host-enforced',
  {
    'the host attaches the disk a second time, writable': [
      secondDisk('same', 'same'),
      {
        'host-enforced': /^fail: .*not offered by the host; another path to vda, by its serial number$/,
        'foreign-programs': 'pass',
      },
    ],
    'the disk is read-only only by a flag': [
      disk({ offered: false, readOnly: true }),
      /^fail: .*not offered/,
    ],
    'the disk is writable, but the boot was sealed by MODE=sealed': [
      all(config('MODE=sealed\n'), disk({ offered: false }), handoff({ REASON: 'MODE=sealed' })),
      'warn',
    ],
    '/ is on a second disk too, which was removed': [rootOn('vda2', 'removed'), removed],
    '/ is only on a disk that was removed': [rootOn('removed'), removed],
    // With this change, /home in fstab is on a disk of the system and writable.
    '/ is on a second disk too, which is writable': [
      rootOn('vda2', 'vdb'),
      {
        'host-enforced': /^fail: virtio feature VIRTIO_BLK_F_RO not offered/,
        'fstab-consistent': 'fail',
      },
    ],
  },
  { 'kernel-lockdown-hints': 'warn', 'foreign-programs': 'skip' },
);

testFindings('host-enforced', {
  '/ is a Btrfs, which is not supported': [btrfs, 'fail: / is btrfs, which may have other devices'],
  '/ is a Btrfs, with MODE=sealed': [all(btrfs, config('MODE=sealed\n')), 'warn: / is btrfs'],
  '/home is a Btrfs on another disk, which is writable': [
    ({ mounts }) => {
      mounts['home'] = '0:30 / /home rw,noexec,nosuid,nodev - btrfs /dev/vdb rw';
    },
    'pass',
  ],
  'a writable disk with another serial number': [secondDisk('one', 'other'), 'pass'],
  'two disks without serial numbers': [secondDisk('', ''), 'pass'],
  'a writable SCSI path to the disk': [
    scsiDisks('E:ID_SERIAL=0QEMU_HARDDISK_x\nE:ID_SERIAL_SHORT=x\n'),
    'fail: another path to sda',
  ],
  'two SCSI disks without serial numbers': [scsiDisks('E:ID_SERIAL=0QEMU_HARDDISK_\n'), 'pass'],
  'a SCSI disk without evidence of write protection': [scsi([]), 'fail: only the block-device flag'],
  'a SCSI disk with write protection in the kernel log': [
    scsi(['5,300,1000000,-;sd 2:0:0:0: [sda] Write Protect is on\n SUBSYSTEM=scsi']),
    "pass: by the kernel's log",
  ],
});

/** Puts the volume below / on a disk with this name and bus. */
const rootOnDisk =
  (name: string, bus: Bus, readOnly: boolean): Change =>
  ({ devices }) => {
    devices[0] = {
      name,
      device: '8:0',
      bus,
      readOnly,
      partitions: { [`${name}p1`]: '252:1', [`${name}p2`]: '252:2' },
    };
    devices[2] = { name: 'dm-0', device: '253:0', on: [`${name}p2`], readOnly: true };
  };
const kinds = suite('kinds of disks');
for (const [name, bus, readOnly, shown] of [
  ['nvme0n1', 'nvme', true, 'nvme'],
  ['nvme0n1', 'nvme', false, 'nvme'],
  ['nvme0n1', 'nvme-loop', true, 'nvme'],
  ['xvda', 'xen', true, 'xen'],
  ['mmcblk0', 'mmc', true, 'other'],
  ['pmem0', 'virtio-pmem', true, 'other'],
  ['dasda', 'dasd', true, 'other'],
  ['sda', 'usb', true, 'usb'],
  ['sda', 'megasas', true, 'scsi'],
  ['vda', 'virtio-mmio', false, undefined],
  ['vda', 'virtio-blk', false, undefined],
  ['sda', 'virtio-scsi', false, undefined],
  ['sda', 'pvscsi', false, undefined],
] as const) {
  kinds(
    `${name} on ${bus}, ${readOnly ? 'read-only' : 'writable'}: ${shown ? 'not ' : ''}supported`,
    async () => {
      const { status, remedy } = await findingOf('host-enforced', rootOnDisk(name, bus, readOnly));
      assert.is(status, 'fail');
      if (shown === undefined) assert.match(remedy, `virt-xml DOMAIN --edit target=${name}`);
      else assert.match(remedy, `A system disk of this kind (${shown}) is not supported.`);
    },
  );
}
kinds('multipath of NVMe disks', async () => {
  const paths: Change = ({ devices }) => {
    devices[2] = { name: 'dm-0', device: '253:0', on: ['nvme0n1', 'nvme1n1'], readOnly: true };
    devices.unshift(
      { name: 'nvme0n1', device: '259:0', bus: 'nvme', readOnly: true },
      { name: 'nvme1n1', device: '259:1', bus: 'nvme', readOnly: true },
    );
  };
  const { status, remedy } = await findingOf('host-enforced', paths);
  assert.is(status, 'fail');
  assert.match(remedy, 'A system disk of this kind (nvme) is not supported.');
});
kinds.run();

const tables = suite('the tables of device-mapper devices');
/** Gives the volume below / a table with other content. */
const altered: Change = ({ devices }) => {
  devices[2] = { name: 'dm-0', device: '253:0', on: ['vda2'], readOnly: true, target: 'flakey' };
};
tables('a volume with other content than the sealed disk', async () => {
  const { status, subject, observed, remedy, verdict } = await findingOf('host-enforced', altered);
  assert.equal([status, subject, verdict], ['fail', 'dm-0', 'failed']);
  assert.match(observed, 'the device-mapper table of dm-0 has the target flakey');
  assert.match(remedy, 'which process created dm-0');
});
tables('tables that cannot be read are an error', async () => {
  const unreadable = (reader: SystemReader): SystemReader => ({
    ...reader,
    deviceTables: () => {
      throw new SystemError('no such device', 'ENODEV');
    },
  });
  const { status, verdict } = await findingOf('host-enforced', () => undefined, { as: unreadable });
  assert.equal([status, verdict], ['error', 'unknown']);
});
for (const [title, change, expected] of [
  ['no table has other content', () => undefined, 'pass'],
  ['the volume below / has other content', altered, 'fail'],
] as const) {
  tables(`a user who is not root relies on the last report: ${title}`, async () => {
    const { status } = await findingOf('host-enforced', await lastReportOf(change), { as: asUser });
    assert.is(status, expected);
  });
}
tables('without a last report, a user who is not root cannot tell', async () => {
  const { status, observed } = await findingOf('host-enforced', () => undefined, { as: asUser });
  assert.is(status, 'error');
  assert.match(observed, 'no report of this boot');
});
tables.run();

const evidenceOf = suite('the evidence of a SCSI disk');
const record = (word: string) => `5,1,2,-;sd 2:0:0:0: [sda] Write Protect is ${word}\n SUBSYSTEM=scsi\n`;

/** Evaluates a guest on one SCSI disk whose read-only flag is set. */
async function evidence(log: () => string[], last?: Report) {
  const guest = goodGuest();
  const partitions = { sda1: '252:1', sda2: '252:2' };
  guest.devices[0] = { name: 'sda', device: '252:0', bus: 'virtio-scsi', readOnly: true, partitions };
  guest.devices[2] = { name: 'dm-0', device: '253:0', on: ['sda2'], readOnly: true };
  all(file('dev/disk/by-uuid/1', { linkTo: '../../sda1' }), file('dev/sda1', ''))(guest);
  if (last !== undefined) file('run/immutafs/report.json', JSON.stringify(last))(guest);
  const report = await withGuest(guest, (reader) => evaluateGuest({ ...reader, kernelLog: log }));
  const disk = report.disks.find(({ name }) => name === 'sda');
  const found = [disk?.hostReadOnly, report.enforcement, report.verdict];
  return { report, found, said: disk?.evidence ?? '' };
}

evidenceOf('the kernel log, then the last report of this boot, unless the log contradicts it', async () => {
  const first = await evidence(() => [record('on')]);
  assert.is(first.said, "SCSI write protect is on, by the kernel's log");
  const second = await evidence(() => [], first.report);
  assert.equal(second.found, [true, 'host', 'sealed']);
  assert.match(second.said, /\(seen at boot\)$/);
  assert.is((await evidence(() => [], second.report)).said, second.said);
  const contradicted = await evidence(() => [record('off')], first.report);
  assert.equal(contradicted.found, [false, 'guest', 'failed']);
  assert.match(contradicted.said, 'the disk itself is not write-protected');
});
evidenceOf('neither in the kernel log nor in the last report', async () => {
  const { found, report } = await evidence(() => []);
  assert.equal(found, [null, 'guest', 'failed']);
  assert.equal((await evidence(() => [], report)).found, [null, 'guest', 'failed']);
});
evidenceOf('the kernel log cannot be read', async () => {
  const { said } = await evidence(() => {
    throw new Error('/dev/kmsg: operation not permitted');
  });
  assert.match(said, /cannot be read \(\/dev\/kmsg: operation not permitted\)$/);
});
evidenceOf.run();
