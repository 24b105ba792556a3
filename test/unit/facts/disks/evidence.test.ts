import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findDisks } from '../../../../agent/facts/disks/disks.ts';
import { parseWriteProtect } from '../../../../agent/facts/disks/evidence.ts';
import { drives } from '../../../harness/disk-scenarios.ts';
import { type DiskFixture, makeSysfs } from '../../../harness/sysfs.ts';
import { hostAt, mount, mounts } from '../../../harness/sysfs-reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const kernelLog = suite('write protection in the kernel log');
const record = (text: string, priority = 5) =>
  `${priority},1,2,-;${text}\n SUBSYSTEM=scsi\n DEVICE=+scsi:2:0:0:0\n`;
for (const [title, records, expected] of [
  ['on', [record('sd 2:0:0:0: [sda] Write Protect is on')], true],
  ['off', [record('sd 2:0:0:0: [sda] Write Protect is off')], false],
  ['another message', [record('sd 2:0:0:0: [sda] Mode Sense: 63 00 00 08')], undefined],
  ['of another disk', [record('sd 2:0:0:1: [sdb] Write Protect is on')], undefined],
  [
    'the last record counts',
    [record('sd 2:0:0:0: [sda] Write Protect is on'), record('sd 2:0:0:0: [sdc] Write Protect is off')],
    false,
  ],
  ['written by a user: facility 1', [record('sd 2:0:0:0: [sda] Write Protect is on', 13)], undefined],
  ['quoted in something else', [record('x sd 2:0:0:0: [sda] Write Protect is on')], undefined],
  ['followed by other text', [record('sd 2:0:0:0: [sda] Write Protect is on, or not')], undefined],
  [
    'in a value of the record',
    ['5,1,2,-;x\n KEY=5,1,2,-;sd 2:0:0:0: [sda] Write Protect is on\n'],
    undefined,
  ],
] as const) {
  kernelLog(title, () => assert.is(parseWriteProtect(records, '2:0:0:0'), expected));
}
kernelLog.run();

/** Returns a kernel message of Linux 6.12 for a disk of QEMU with readonly=on. */
const said = (word: string) =>
  `5,300,1000000,-;sd 2:0:0:0: [sda] Write Protect is ${word}\n SUBSYSTEM=scsi\n DEVICE=+scsi:2:0:0:0`;
const sda: DiskFixture = { name: 'sda', device: '8:0', bus: 'virtio-scsi', readOnly: true };

const scsi = suite('SCSI write protect');
for (const [title, readOnly, log, expected] of [
  ['the kernel’s log has: on', true, [said('on')], true],
  ['the kernel’s log has: off', true, [said('off')], false],
  ['the log has no record', true, [], null],
  ['the flag is off', false, [said('on')], false],
] as const) {
  scsi(title, () => {
    const [disk] = inTemporaryDirectory((root) => {
      makeSysfs(root, [{ ...sda, readOnly }]);
      return findDisks(hostAt(root, log), mounts(mount('8:0', '/')));
    });
    assert.is(disk?.hostReadOnly, expected);
    assert.is(disk?.readOnly, readOnly);
  });
}
for (const [title, log, evidence, expected] of [
  ['no record in the log, but in the last report', [], "SCSI write protect is on, by the kernel's log", true],
  [
    'no record in the log, but in the last report, which had it from an earlier one',
    [],
    "SCSI write protect is on, by the kernel's log (seen at boot)",
    true,
  ],
  [
    'the last report has a disk of another bus by the same name',
    [],
    'virtio feature VIRTIO_BLK_F_RO offered by the host',
    null,
  ],
  [
    'the log contradicts the last report',
    [said('off')],
    "SCSI write protect is on, by the kernel's log",
    false,
  ],
] as const) {
  scsi(title, () => {
    const [disk] = inTemporaryDirectory((root) => {
      makeSysfs(root, [sda]);
      const before = { readOnly: true, hostReadOnly: true, evidence };
      return findDisks(hostAt(root, log), mounts(mount('8:0', '/')), (name) =>
        name === 'sda' ? before : undefined,
      );
    });
    assert.is(disk?.hostReadOnly, expected);
  });
}
scsi.run();

const cdroms = suite('CD-ROM drives');
for (const [title, { drive, info, accepted }] of Object.entries(drives)) {
  cdroms(title, () => {
    const [disk] = inTemporaryDirectory((root) => {
      makeSysfs(root, [drive]);
      writeFiles(root, { 'proc/sys/dev/cdrom/info': info });
      return findDisks(hostAt(root), mounts(mount('11:0', '/mnt', 'iso9660')));
    });
    assert.is(disk?.hostReadOnly === true, accepted, disk?.evidence);
  });
}
cdroms.run();
