import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { tagKey, tagsOf } from '../../../../agent/facts/disks/identities.ts';
import {
  deviceFile,
  parseUdevRecord,
  readUdevRecord,
  tagOfSource,
} from '../../../../agent/facts/disks/tags.ts';
import { findDisks, parseSwaps } from '../../../../agent/facts/disks/disks.ts';
import { diskScenarios, writeProtected, drives } from '../../../harness/disk-scenarios.ts';
import { type DiskFixture, type StackFixture, makeSysfs } from '../../../harness/sysfs.ts';
import { hostAt, mount, mounts } from '../../../harness/sysfs-reader.ts';
import { inDirectories, inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';
import { parseWriteProtect } from '../../../../agent/facts/disks/write-protect.ts';
import { systemReader } from '../../../../agent/system/reader.ts';

interface Given {
  files?: Record<string, string | { linkTo: string }>;
  log?: readonly string[];
  /** Returns the evidence of the last report. */
  last?: Parameters<typeof findDisks>[2];
}

/** @param mounted as `mount` returns them */
function disksOf(
  devices: readonly (DiskFixture | StackFixture)[],
  mounted: readonly string[],
  { files = {}, log = [], last }: Given = {},
) {
  return inTemporaryDirectory((root) => {
    makeSysfs(root, devices);
    writeFiles(root, files);
    return findDisks(hostAt(root, log), mounts(...mounted), last);
  });
}

const scenarios = suite('findDisks');
for (const [title, { devices, device, disks }] of Object.entries(diskScenarios)) {
  scenarios(title, () => {
    const found = disksOf(devices, [mount(device, '/')], { log: writeProtected });
    assert.equal(
      found.map(({ name, bus, readOnly, hostReadOnly }) => ({ name, bus, readOnly, hostReadOnly })),
      disks,
    );
    for (const { evidence, holds } of found) {
      assert.ok(evidence.length > 10);
      assert.equal(holds, ['/']);
    }
  });
}
scenarios.run();

const serials = suite('the serial number of a disk');
const scsiDisk: DiskFixture = { name: 'sda', device: '8:0', bus: 'virtio-scsi' };
const virtioDisk: DiskFixture = { name: 'vda', device: '252:0', bus: 'virtio-blk' };
for (const [title, disk, record, expected] of [
  ['of virtio-blk', virtioDisk, 'E:ID_SERIAL=0b6c71de-vda\n', '0b6c71de-vda'],
  ['of SCSI', scsiDisk, 'E:ID_SERIAL=0QEMU_QEMU_HARDDISK_a\nE:ID_SERIAL_SHORT=a\n', '0QEMU_QEMU_HARDDISK_a'],
  ['of SCSI, with vendor and model alone', scsiDisk, 'E:ID_SERIAL=0QEMU_QEMU_HARDDISK_\n', null],
  ['that the host did not give', virtioDisk, '', null],
] as const) {
  serials(title, () => {
    const files = { [`run/udev/data/b${disk.device}`]: record };
    const [found] = disksOf([disk], [mount(disk.device, '/')], { files });
    assert.is(found?.serial, expected);
  });
}
serials.run();

const vda: DiskFixture = {
  name: 'vda',
  device: '252:0',
  bus: 'virtio-blk',
  offered: true,
  partitions: { vda1: '252:1', vda2: '252:2' },
};
const vdb: DiskFixture = { name: 'vdb', device: '252:16', bus: 'virtio-blk' };

const whole = suite('several file systems');
whole('each disk holds its mount points, once', () => {
  const found = disksOf(
    [vdb, vda, { name: 'dm-0', device: '253:0', on: ['vda2'] }],
    [
      ...[mount('253:0', '/'), mount('252:1', '/boot'), mount('252:16', '/home')],
      ...[mount('253:0', '/var/lib/docker'), mount('252:16', '/home')],
      ...[mount('0:42', '/var', 'overlay', 'immutafs'), mount('0:40', '/srv', 'nfs', 'server:/x')],
    ],
  );
  assert.equal(
    found.map(({ name, holds }) => [name, holds]),
    [
      ['vda', ['/', '/var/lib/docker', '/boot']],
      ['vdb', ['/home']],
    ],
  );
});

whole('the device of a Btrfs is its source, since its device number is anonymous', () => {
  const btrfs = [mount('0:30', '/', 'btrfs', '/dev/vda2')];
  const found = disksOf([vda], btrfs, { files: { 'dev/vda2': '' } });
  assert.equal(
    found.map(({ name, holds }) => [name, holds]),
    [['vda', ['/']]],
  );
});

whole('a disk with a Btrfs, which may have other devices, is not proven to be read-only', () => {
  for (const [type, device, proven] of [
    ['btrfs', '0:30', false],
    ['xfs', '252:2', true],
  ] as const) {
    const mounts = [mount(device, '/', type, '/dev/vda2'), mount('252:1', '/boot', 'xfs', '/dev/vda1')];
    const [found] = disksOf([vda], mounts, { files: { 'dev/vda2': '' } });
    assert.equal([found?.name, found?.readOnly, found?.hostReadOnly], ['vda', true, proven]);
    assert.is(found?.evidence.endsWith('but / is btrfs, which may have other devices'), !proven);
  }
  const [writable] = disksOf([{ ...vda, offered: false }], [mount('0:30', '/', 'btrfs', '/dev/vda2')], {
    files: { 'dev/vda2': '' },
  });
  assert.equal([writable?.readOnly, writable?.hostReadOnly], [false, false]);
});

whole('a device that sysfs does not know has no disks', () => {
  assert.equal(disksOf([vda], [mount('7:0', '/')]), []);
});

whole('a cleared flag does not override the host’s setting', () => {
  const [disk] = inTemporaryDirectory((root) => {
    makeSysfs(root, [vda]);
    fs.writeFileSync(path.join(fs.realpathSync(path.join(root, 'sys/block/vda')), 'ro'), '0\n');
    return findDisks(hostAt(root), mounts(mount('252:1', '/')));
  });
  assert.equal([disk?.readOnly, disk?.hostReadOnly], [true, true]);
});

whole('the name vda alone does not make a virtio disk', () => {
  const found = disksOf([{ name: 'vda', device: '7:0', on: [], readOnly: true }], [mount('7:0', '/')]);
  assert.equal(
    found.map(({ bus, hostReadOnly }) => [bus, hostReadOnly]),
    [['virtual', false]],
  );
});

for (const gone of ['ro', 'device/features']) {
  whole(`a missing file of sysfs is an error, not a writable disk: ${gone}`, () => {
    inTemporaryDirectory((root) => {
      makeSysfs(root, [vda]);
      const node = fs.realpathSync(path.join(root, 'sys/block/vda'));
      fs.rmSync(path.join(node, gone));
      assert.throws(
        () => findDisks(hostAt(root), mounts(mount('252:1', '/'))),
        (error: unknown) => error instanceof Error && /no such file/.test(error.message),
      );
    });
  });
}
whole.run();

const devices = suite('deviceFile');
for (const [source, expected] of [
  ['/dev/vda1', '/dev/vda1'],
  ['UUID=A1-b2', '/dev/disk/by-uuid/A1-b2'],
  ['UUID="A1-b2"', '/dev/disk/by-uuid/A1-b2'],
  ['LABEL=my disk/ä', '/dev/disk/by-label/my\\x20disk\\x2fä'],
  ['PARTUUID=1', '/dev/disk/by-partuuid/1'],
  ['PARTLABEL=root', '/dev/disk/by-partlabel/root'],
  ['tmpfs', undefined],
  ['server:/dev/x', undefined],
  ['/swapfile', undefined],
] as const) {
  devices(source, () => assert.is(deviceFile(source), expected));
}
devices.run();

const bytes = fc.string({
  unit: fc.nat({ max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 80,
});

const swaps = suite('/proc/swaps');
const heading = 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n';
swaps('none', () => assert.equal(parseSwaps(heading), []));
swaps('a partition on EL7 and a file on Linux 6', () => {
  const el7 = '/dev/dm-1                               partition\t2097148\t264\t-1\n';
  const linux6 = '/swap\\040file\\040(deleted)                      file\t\t1048572\t\t0\t\t-2\n';
  assert.equal(parseSwaps(heading + el7 + linux6), [
    { source: '/dev/dm-1', type: 'partition' },
    { source: '/swap file', type: 'file' },
  ]);
});
for (const bad of ['', 'x\n', `${heading}/dev/dm-1\n`, `${heading}/dev/dm-1 disk 1 2 3\n`]) {
  swaps(`refused: ${JSON.stringify(bad.slice(-20))}`, () => assert.throws(() => parseSwaps(bad), /swaps/));
}
swaps('any text: parsed, or an error that names the line', () => {
  fc.assert(
    fc.property(bytes, (garbage) => {
      try {
        parseSwaps(heading + garbage);
      } catch (error) {
        assert.match((error as Error).message, /^\/proc\/swaps line \d+ is malformed$/);
      }
    }),
  );
});
swaps.run();

/** A record in the udev database of systemd 257. */
const debian = `I:1612345
E:ID_FS_LABEL_ENC=my\\x20disk
E:ID_FS_UUID=A1B2-C3D4
E:ID_PART_TABLE_UUID=0B78DACB-97ec-45e9-a02e-19e531d2a09a
E:ID_PART_ENTRY_NAME=EFI\\x20System
E:ID_PART_ENTRY_UUID=5f0c1c4f-1c8b-4b8e-9df4-7d1a5d0a8f11
E:ID_PART_ENTRY_NUMBER=15
G:systemd
Q:systemd
V:1
`;

const tags = suite('tagsOf');
tags('a partition: its own UUID, not that of the partition table', () =>
  assert.equal(tagsOf(parseUdevRecord(debian)), [
    'UUID=A1B2-C3D4',
    'PARTUUID=5f0c1c4f-1c8b-4b8e-9df4-7d1a5d0a8f11',
    'LABEL=my\\x20disk',
    'PARTLABEL=EFI\\x20System',
  ]),
);
tags('a disk: the UUID of its partition table', () =>
  assert.equal(tagsOf(new Map([['ID_PART_TABLE_UUID', 'ab']])), ['PTUUID=ab']),
);
for (const value of ['', '00000000', '00000000-01', '00000000-0000-0000-0000-000000000000', '0000-0000']) {
  tags(`an unset identifier is no tag: ${value}`, () =>
    assert.equal(tagsOf(new Map([['ID_PART_ENTRY_UUID', value]])), []),
  );
}
tags('an identifier that only ends in zeros is a tag', () =>
  assert.equal(tagsOf(new Map([['ID_PART_ENTRY_UUID', 'ab000000-01']])), ['PARTUUID=ab000000-01']),
);
tags.run();

const sources = suite('tagOfSource');
for (const [source, expected] of [
  ['UUID=A1B2-C3D4', 'UUID=A1B2-C3D4'],
  ['UUID="A1B2-C3D4"', 'UUID=A1B2-C3D4'],
  ['LABEL=my disk', 'LABEL=my\\x20disk'],
  ['PARTLABEL=EFI System', 'PARTLABEL=EFI\\x20System'],
  ['/dev/disk/by-label/my\\x20disk', 'LABEL=my\\x20disk'],
  ['/dev/disk/by-partuuid/5f', 'PARTUUID=5f'],
  ['/dev/block/immutafs/by-uuid/5f', 'UUID=5f'],
  ['/dev/mapper/rhel-root', 'DM=rhel-root'],
  ['/dev/disk/by-id/virtio-root', undefined],
  ['/dev/vda1', undefined],
  ['/dev/mapper/', undefined],
  ['tmpfs', undefined],
  ['server:/export', undefined],
] as const) {
  sources(source, () => assert.is(tagOfSource(source), expected));
}
sources('the case of letters matters in labels, not in UUIDs', () => {
  assert.is(tagKey('UUID=A1b2'), tagKey('UUID=a1B2'));
  assert.is.not(tagKey('LABEL=Root'), tagKey('LABEL=root'));
  assert.is.not(tagKey('PARTLABEL=Root'), tagKey('PARTLABEL=root'));
});
sources.run();

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
    const [disk] = disksOf([{ ...sda, readOnly }], [mount('8:0', '/')], { log });
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
    const before = { readOnly: true, hostReadOnly: true, evidence };
    const last = (name: string) => (name === 'sda' ? before : undefined);
    const [disk] = disksOf([sda], [mount('8:0', '/')], { log, last });
    assert.is(disk?.hostReadOnly, expected);
  });
}
scsi.run();

const cdroms = suite('CD-ROM drives');
for (const [title, { drive, info, accepted }] of Object.entries(drives)) {
  cdroms(title, () => {
    const files = { 'proc/sys/dev/cdrom/info': info };
    const [disk] = disksOf([drive], [mount('11:0', '/mnt', 'iso9660')], { files });
    assert.is(disk?.hostReadOnly === true, accepted, disk?.evidence);
  });
}
cdroms.run();

const named = suite('the evidence in messages');
for (const [title, device, expected] of [
  ['offered', { ...virtioDisk, offered: true }, 'virtio feature VIRTIO_BLK_F_RO offered by the host'],
  ['not offered', virtioDisk, 'virtio feature VIRTIO_BLK_F_RO not offered by the host'],
  [
    'the driver of a SCSI host',
    { ...scsiDisk, bus: 'iscsi', readOnly: true },
    'read-only, but root in the guest can create such a disk (driver iscsi_tcp)',
  ],
  [
    'no driver',
    { name: 'loop0', device: '7:0', on: [], readOnly: true },
    'read-only, but root in the guest can create such a disk',
  ],
] as const) {
  named(title, () => {
    const [found] = disksOf([device], [mount(device.device, '/')]);
    assert.is(found?.evidence, expected);
  });
}
for (const [title, md, expected] of [
  ['a degraded array', { level: 'raid5', degraded: '1' }, 'a degraded raid5'],
  ['an array of another level', { level: 'faulty', degraded: '0' }, 'of level faulty'],
] as const) {
  named(title, () => {
    const found = disksOf([vda, { name: 'md0', device: '9:0', on: ['vda2'], md }], [mount('9:0', '/')]);
    assert.ok(
      found.some(({ evidence }) => evidence === `the md array md0 is ${expected}`),
      JSON.stringify(found),
    );
  });
}
named.run();

/** A record in the udev database of systemd 219. */
const el7 = `S:disk/by-id/virtio-root-part1
S:disk/by-uuid/17d73eec-69d4-46d1-bf44-bfeba7e36233
W:8
I:230435
E:ID_FS_TYPE=xfs
E:ID_FS_UUID=17d73eec-69d4-46d1-bf44-bfeba7e36233
E:ID_PART_ENTRY_NUMBER=1
G:systemd
`;
const records = suite('parseUdevRecord');
const recordsIn = inDirectories(records);
records('systemd 219', () =>
  assert.equal(
    [...parseUdevRecord(el7)],
    [
      ['ID_FS_TYPE', 'xfs'],
      ['ID_FS_UUID', '17d73eec-69d4-46d1-bf44-bfeba7e36233'],
      ['ID_PART_ENTRY_NUMBER', '1'],
    ],
  ),
);
records('a value may have an equals sign, be empty or be UTF-8; the last line of a key counts', () =>
  assert.equal(
    [...parseUdevRecord('E:A=b=c\nE:B=\nE:C=\xc3\xa4\nE:D=1\nE:D=\xff\nE:NONE\nX:E=1\nE:')],
    [
      ['A', 'b=c'],
      ['B', ''],
      ['C', 'ä'],
      ['D', '\\xff'],
    ],
  ),
);
records('any text: properties and valid tags, never an error', () => {
  const line = fc.oneof(
    bytes,
    fc
      .tuple(
        fc.constantFrom('ID_FS_UUID', 'ID_FS_LABEL_ENC', 'ID_PART_TABLE_UUID', '__proto__', 'ID_FS_TYPE'),
        bytes,
      )
      .map(([key, value]) => `E:${key}=${value}`),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      for (const tag of tagsOf(parseUdevRecord(lines.join('\n')))) {
        assert.match(tag, /^(UUID|PARTUUID|PTUUID|LABEL|PARTLABEL)=./s);
        assert.is(tagKey(tagKey(tag)), tagKey(tag));
      }
    }),
    { numRuns: 2000 },
  );
});

recordsIn('no record, a link, a directory: no properties', (root) => {
  writeFiles(root, {
    'run/udev/data/b1:1': { linkTo: '/dev/zero' },
    'run/udev/data/b1:2/x': '',
    'run/udev/data/b1:3': 'E:A=1\n',
  });
  const reader = systemReader({ root });
  for (const device of ['1:0', '1:1', '1:2']) assert.is(readUdevRecord(reader, device).size, 0);
  assert.is(readUdevRecord(reader, '1:3').get('A'), '1');
});
recordsIn('a record of a mebibyte is an error', (root) => {
  writeFiles(root, { 'run/udev/data/b1:0': 'E:A=1\n'.repeat(200_000) });
  assert.throws(() => readUdevRecord(systemReader({ root }), '1:0'), /larger than 262144 bytes/);
});
records.run();
