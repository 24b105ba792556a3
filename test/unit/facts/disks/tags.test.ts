import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { tagKey, tagOfSource, tagsOf } from '../../../../agent/facts/disks/tags.ts';
import { parseUdevRecord } from '../../../../agent/facts/disks/udev-database.ts';

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
