import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemReader } from '../../../../agent/system/reader.ts';
import { tagOfSource, tagKey, tagsOf } from '../../../../agent/facts/disks/tags.ts';
import { parseUdevRecord, readUdevRecord } from '../../../../agent/facts/disks/udev-database.ts';
import { inTemporaryFolder, writeFiles } from '../../../harness/temporary.ts';

/** systemd 219. */
const el7 = `S:disk/by-id/virtio-root-part1
S:disk/by-uuid/17d73eec-69d4-46d1-bf44-bfeba7e36233
W:8
I:230435
E:ID_FS_TYPE=xfs
E:ID_FS_UUID=17d73eec-69d4-46d1-bf44-bfeba7e36233
E:ID_PART_ENTRY_NUMBER=1
G:systemd
`;
/** systemd 257. */
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

const records = suite('parseUdevRecord');
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
const bytes = fc.string({ unit: fc.nat({ max: 255 }).map((code) => String.fromCharCode(code)) });
records('whatever stands there: properties and tags, never an exception', () => {
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

records('no record, and what is no file: nothing is known', () => {
  inTemporaryFolder((root) => {
    writeFiles(root, {
      'run/udev/data/b1:1': { linkTo: '/dev/zero' },
      'run/udev/data/b1:2/x': '',
      'run/udev/data/b1:3': 'E:A=1\n',
    });
    const reader = systemReader({ root });
    for (const device of ['1:0', '1:1', '1:2']) assert.is(readUdevRecord(reader, device).size, 0);
    assert.is(readUdevRecord(reader, '1:3').get('A'), '1');
  });
});
records('a record of a mebibyte is refused, not read', () => {
  inTemporaryFolder((root) => {
    writeFiles(root, { 'run/udev/data/b1:0': 'E:A=1\n'.repeat(200_000) });
    assert.throws(() => readUdevRecord(systemReader({ root }), '1:0'), /larger than 262144 bytes/);
  });
});
records.run();

const tags = suite('tags of a device');
tags('of a partition: its own, not its table’s', () =>
  assert.equal(tagsOf(parseUdevRecord(debian)), [
    'UUID=A1B2-C3D4',
    'PARTUUID=5f0c1c4f-1c8b-4b8e-9df4-7d1a5d0a8f11',
    'LABEL=my\\x20disk',
    'PARTLABEL=EFI\\x20System',
  ]),
);
tags('of a disk: its table’s', () =>
  assert.equal(tagsOf(new Map([['ID_PART_TABLE_UUID', 'ab']])), ['PTUUID=ab']),
);
for (const value of ['', '00000000', '00000000-01', '00000000-0000-0000-0000-000000000000', '0000-0000']) {
  tags(`none that nobody gave: ${value}`, () =>
    assert.equal(tagsOf(new Map([['ID_PART_ENTRY_UUID', value]])), []),
  );
}
tags('a disk identifier that ends in zeros is one', () =>
  assert.equal(tagsOf(new Map([['ID_PART_ENTRY_UUID', 'ab000000-01']])), ['PARTUUID=ab000000-01']),
);
tags.run();

const sources = suite('tags that a source asks for');
for (const [source, expected] of [
  ['UUID=A1B2-C3D4', 'UUID=A1B2-C3D4'],
  ['UUID="A1B2-C3D4"', 'UUID=A1B2-C3D4'],
  ['LABEL=my disk', 'LABEL=my\\x20disk'],
  ['PARTLABEL=EFI System', 'PARTLABEL=EFI\\x20System'],
  ['/dev/disk/by-label/my\\x20disk', 'LABEL=my\\x20disk'],
  ['/dev/disk/by-partuuid/5f', 'PARTUUID=5f'],
  ['/dev/immutafs/by-uuid/5f', 'UUID=5f'],
  ['/dev/mapper/rhel-root', 'DM=rhel-root'],
  ['/dev/disk/by-id/virtio-root', undefined],
  ['/dev/vda1', undefined],
  ['/dev/mapper/', undefined],
  ['tmpfs', undefined],
  ['server:/export', undefined],
] as const) {
  sources(source, () => assert.is(tagOfSource(source), expected));
}
sources('UUIDs are compared without regard to case, labels are not', () => {
  assert.is(tagKey('UUID=A1b2'), tagKey('UUID=a1B2'));
  assert.is.not(tagKey('LABEL=Root'), tagKey('LABEL=root'));
  assert.is.not(tagKey('PARTLABEL=Root'), tagKey('PARTLABEL=root'));
});
sources.run();
