import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemReader } from '../../../../agent/system/reader.ts';
import { tagKey, tagsOf, parseUdevRecord, readUdevRecord } from '../../../../agent/facts/disks/tags.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

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

records('no record, a link, a directory: no properties', () => {
  inTemporaryDirectory((root) => {
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
records('a record of a mebibyte is an error', () => {
  inTemporaryDirectory((root) => {
    writeFiles(root, { 'run/udev/data/b1:0': 'E:A=1\n'.repeat(200_000) });
    assert.throws(() => readUdevRecord(systemReader({ root }), '1:0'), /larger than 262144 bytes/);
  });
});
records.run();
