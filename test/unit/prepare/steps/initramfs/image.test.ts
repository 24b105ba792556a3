import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readImage } from '../../../../../agent/prepare/steps/initramfs/image.ts';
import { systemReader } from '../../../../../agent/system/reader.ts';
import { cpioFiles, keptTexts, realCpio } from '../../../../harness/real-cpio.ts';
import { inTemporaryDirectory } from '../../../../harness/temporary.ts';

const image = suite('readImage');
for (const [title, pack] of [
  ['uncompressed', (data: Buffer) => data],
  ['gzip', (data: Buffer) => zlib.gzipSync(data)],
  ['zstd', (data: Buffer) => zlib.zstdCompressSync(data)],
] as const) {
  image(`${title}, after a microcode archive`, async () => {
    const folder = fs.mkdtempSync('/tmp/immutafs-image-');
    try {
      const whole = Buffer.concat([realCpio({ early: '1' }), Buffer.alloc(1024), pack(realCpio(cpioFiles))]);
      fs.writeFileSync(path.join(folder, 'image'), whole);
      const reader = systemReader({ root: folder });
      const found = await readImage(reader, '/image', (name) => name === 'wanted/a');
      assert.ok(found.some(({ name }) => name === 'early'));
      assert.equal(keptTexts(found), { 'wanted/a': cpioFiles['wanted/a'] });
      fs.truncateSync(path.join(folder, 'image'), whole.length - 200);
      try {
        await readImage(reader, '/image', () => true);
        if (title !== 'uncompressed') assert.unreachable('no error');
      } catch (error) {
        assert.match((error as Error).message, /^\/image: /);
      }
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
}
image('an archive that was truncated before compression', () =>
  inTemporaryDirectory(async (folder) => {
    fs.writeFileSync(path.join(folder, 'image'), zlib.gzipSync(realCpio(cpioFiles).subarray(0, -600)));
    try {
      await readImage(systemReader({ root: folder }), '/image', () => false);
      assert.unreachable('no error');
    } catch (error) {
      assert.match((error as Error).message, '/image: ends in the middle of an archive');
    }
  }),
);
image.run();
