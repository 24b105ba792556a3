import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CpioReader } from '../../../../../agent/prepare/steps/initramfs/cpio.ts';
import { cpioFiles, keptTexts, realCpio } from '../../../../harness/real-cpio.ts';

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
