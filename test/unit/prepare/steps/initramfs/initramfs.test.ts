import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { noSettings } from '../../../../../agent/prepare/engine/step.ts';
import { planGuest } from '../../../../../agent/prepare/prepare.ts';
import { CpioReader } from '../../../../../agent/prepare/steps/initramfs/cpio.ts';
import { readImage } from '../../../../../agent/prepare/steps/initramfs/image.ts';
import { systemReader } from '../../../../../agent/system/reader.ts';
import { withGuest } from '../../../../harness/guest.ts';
import { goodImage } from '../../../../harness/ordinary-guest.ts';
import { cpioFiles, keptTexts, realCpio } from '../../../../harness/real-cpio.ts';
import { guestWith } from '../../../../harness/step-table.ts';
import { inTemporaryDirectory } from '../../../../harness/temporary.ts';

function readAll(image: Buffer, pieceBytes: number): CpioReader {
  const reader = new CpioReader((name) => name.startsWith('wanted/'));
  for (let at = 0; at < image.length; at += pieceBytes) reader.write(image.subarray(at, at + pieceBytes));
  return reader;
}

const cpio = suite('cpio');
for (const pieceBytes of [1, 7, 110, 4096, 1024 * 1024]) {
  cpio(`archives of cpio(1), in pieces of ${pieceBytes} bytes`, () => {
    const image = Buffer.concat([realCpio({ early: '1' }), Buffer.alloc(512), realCpio(cpioFiles)]);
    const reader = readAll(image, pieceBytes);
    reader.end();
    const names = reader.found.map(({ name }) => name);
    for (const name of ['early', ...Object.keys(cpioFiles), 'usr/bin', 'wanted'])
      assert.ok(names.includes(name), name);
    assert.equal(keptTexts(reader.found), {
      'wanted/a': cpioFiles['wanted/a'],
      'wanted/b': cpioFiles['wanted/b'],
    });
  });
}
cpio('a truncated archive is an error', () => {
  const image = realCpio({ 'wanted/a': 'abc', d: 'def' });
  const length = image.indexOf('TRAILER!!!');
  fc.assert(
    fc.property(fc.integer({ min: 1, max: length }), (at) => {
      assert.throws(() => readAll(image.subarray(0, at), 64).end(), /ends in the middle|no cpio header/);
    }),
  );
});
cpio('data that is no archive', () => {
  const reader = readAll(Buffer.from('something else'), 5);
  assert.is(reader.rest?.toString().startsWith('somethin'), true);
});
cpio('a corrupt header', () => {
  const image = realCpio({ a: 'b'.repeat(100) });
  image.write('070709', image.indexOf('070701', 50));
  assert.throws(() => readAll(image, 4096), /no cpio header at byte \d+/);
});
cpio.run();

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

const kernel = '3.10.0-1160.el7.x86_64';
const kernelsImage = `boot/initramfs-${kernel}.img`;

const kernels = suite('isOlderThanModules');
kernels('newer modules count; modules of the same age or of a wrong clock do not', async () => {
  const modules = `usr/lib/modules/${kernel}/modules.dep`;
  for (const [made, written, state] of [
    ['2026-03-01', '2026-03-02', 'needed'],
    ['2026-03-01', '2026-03-01', 'done'],
    ['2026-03-02', '2026-03-01', 'done'],
    ['2026-03-01', '2027-01-01', 'done'],
  ] as const) {
    await withGuest(guestWith({ [kernelsImage]: goodImage(), [modules]: '' }), async (reader, root) => {
      for (const [file, day] of [
        [kernelsImage, made],
        [modules, written],
      ] as const) {
        fs.utimesSync(path.join(root, file), new Date(day), new Date(day));
      }
      const { steps } = await planGuest(reader, noSettings, new Set(['initramfs']));
      assert.is(steps[0]?.state, state, `${made} ${written}`);
      const why = `/${kernelsImage} is older than the modules of ${kernel}.`;
      if (state === 'needed') assert.equal(steps[0]?.why, [why]);
    });
  }
});
kernels.run();
