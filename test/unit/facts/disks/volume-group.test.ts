import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseVolumeGroup, volumeGroupOfLv } from '../../../../agent/facts/disks/volume-group.ts';

const file = path.join(import.meta.dirname, '../../../fixtures/lvm/physical-volume.gz');
const genuine = zlib.gunzipSync(fs.readFileSync(file));
const reader = (content: Buffer) => (offset: number, bytes: number) =>
  content.toString('latin1', Math.min(offset, content.length), Math.min(offset + bytes, content.length));
const changed = (at: number, bytes: Buffer) => {
  const copy = Buffer.from(genuine);
  bytes.copy(copy, at);
  return copy;
};
const number = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
};
const [id, member] = ['8oAmW01vNnIqipJlr06oc2XU7CGXVBa6', 'mdMpQ6-00I9-7n7N-F3D6-hDij-h9kH-ePIbPo'];
const rhel = { name: 'rhel', uuid: id, members: [member] };
/** The offset of the metadata area, and the offset of the current text in this area. */
const [area, text] = [0x1000, 0xc00];

const metadata = suite('parseVolumeGroup');
metadata('a physical volume of lvm2', () => assert.equal(parseVolumeGroup(reader(genuine)), rhel));

metadata('the label in the first sector', () => {
  const moved = changed(0, genuine.subarray(512, 1024));
  moved.fill(0, 512, 1024);
  assert.equal(parseVolumeGroup(reader(moved)), rhel);
});

metadata('a group with a missing member, which the metadata still lists', () => {
  const begin = genuine.indexOf('}\n}\n\nlogical_volumes');
  const another =
    '}\n\npv1 {\nid = "bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb"\nflags = ["MISSING"]\n}\n}\n\nlogical_volumes {\n';
  const both = changed(begin, Buffer.from(another));
  assert.equal(parseVolumeGroup(reader(both))?.members, [member, 'bbbbbb-bbbb-bbbb-bbbb-bbbb-bbbb-bbbbbb']);
});
metadata('a list of members that does not end, or is empty: no members', () => {
  const end = genuine.indexOf('}\n}\n\nlogical_volumes');
  const begin = genuine.indexOf('physical_volumes {\n');
  for (const damaged of [
    changed(end, Buffer.from('xxxx')),
    changed(begin, Buffer.from('physical_volumes {\n}\n')),
  ])
    assert.equal(parseVolumeGroup(reader(damaged)), { name: 'rhel', uuid: id });
});

metadata('a text that wraps around the end of the area', () => {
  const words = genuine.subarray(area + text, area + text + 512);
  const ring = Buffer.concat([genuine.subarray(0, area + 0x1000), Buffer.alloc(512)]);
  words.copy(ring, area + 0x1000 - 20, 0, 20);
  words.copy(ring, area + 512, 20);
  number(0x1000n - 20n).copy(ring, area + 40);
  number(0x1000n).copy(ring, 512 + 0x70);
  assert.equal(parseVolumeGroup(reader(ring)), rhel);
});

for (const [title, content] of Object.entries({
  nothing: Buffer.alloc(0),
  zeros: Buffer.alloc(8192),
  'no label': changed(512, Buffer.from('labelone')),
  'a header far away': changed(512 + 20, Buffer.from([0xff, 0xff, 0xff, 0xff])),
  'no metadata area': changed(512 + 0x68, number(0n)),
  'a metadata area behind the end': changed(512 + 0x68, number(1n << 60n)),
  'an area of another kind': changed(area + 4, Buffer.from('XXXX')),
  'a text behind the end': changed(area + 40, number(1n << 60n)),
  'a text of another form': changed(area + text, Buffer.from('%%%%')),
  'a volume that ends in the text': genuine.subarray(0, area + text + 20),
})) {
  metadata(`undefined: ${title}`, () => {
    let found: unknown;
    try {
      found = parseVolumeGroup(reader(content));
    } catch (error) {
      assert.instance(error, RangeError);
    }
    assert.is(found, undefined);
  });
}

metadata('any content: a valid volume group, undefined, or a RangeError', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });
  const place = fc.oneof(
    fc.nat({ max: 0x1e00 }),
    fc.integer({ min: 512, max: 700 }),
    fc.integer({ min: area, max: area + 64 }),
  );
  fc.assert(
    fc.property(place, bytes, (at, garbage) => {
      let calls = 0;
      const read = reader(changed(at, Buffer.from(garbage)));
      try {
        const found = parseVolumeGroup((offset, count) => {
          calls += 1;
          assert.ok(count <= 256 * 1024);
          return read(offset, count);
        });
        if (found !== undefined) assert.match(`${found.name} ${found.uuid}`, /^[\w.+-]+ \w{32}$/);
      } catch (error) {
        assert.instance(error, RangeError);
      }
      assert.ok(calls <= 4);
    }),
    { numRuns: 2000 },
  );
});
metadata.run();

const active = suite('volumeGroupOfLv');
const dm = 'LVM-aSiff4xfR37P8MJq6HmvX8rR3jZ3FVNlG6POBr53lLBvuixpvkuSVHjv3guQlc4v';
active('an active logical volume', () =>
  assert.equal(volumeGroupOfLv('rhel', `${dm}\n`), {
    name: 'rhel',
    uuid: 'aSiff4xfR37P8MJq6HmvX8rR3jZ3FVNl',
  }),
);
for (const uuid of ['', 'CRYPT-LUKS2-0123-root', 'mpath-0QEMU', 'LVM-short']) {
  active(`none: ${uuid}`, () => assert.is(volumeGroupOfLv('rhel', uuid), undefined));
}
active('none: without a name', () => assert.is(volumeGroupOfLv('', dm), undefined));
active.run();
