import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemReader } from '../../../agent/system/reader.ts';
import { diffLines } from '../../../agent/prepare/engine/diff.ts';
import { type CpioFile, CpioReader } from '../../../agent/prepare/steps/initramfs/cpio.ts';
import { readImage } from '../../../agent/prepare/steps/initramfs/image.ts';
import { hasFileTypes } from '../../../agent/prepare/steps/xfs.ts';
import { inTemporaryFolder, writeFiles } from '../../harness/temporary.ts';

/** What cpio(1) itself makes of files. */
function realCpio(files: Record<string, string>): Buffer {
  return inTemporaryFolder((folder) => {
    writeFiles(folder, files);
    const input = execFileSync('find', ['.', '-print0'], { cwd: folder });
    return execFileSync('cpio', ['--null', '--create', '--quiet', '--format=newc'], { cwd: folder, input });
  });
}

function readAll(image: Buffer, pieceBytes: number): CpioReader {
  const reader = new CpioReader((name) => name.startsWith('wanted/'));
  for (let at = 0; at < image.length; at += pieceBytes) reader.write(image.subarray(at, at + pieceBytes));
  return reader;
}

const texts = (files: readonly CpioFile[]) =>
  Object.fromEntries(
    files.filter(({ text }) => text !== undefined && text !== '').map(({ name, text }) => [name, text]),
  );

const cpio = suite('cpio');
const files = {
  'usr/bin/sh': 'shell'.repeat(1000),
  'wanted/a': '#!/bin/sh\n',
  'wanted/b': 'x'.repeat(70_000),
  c: '',
};
for (const pieceBytes of [1, 7, 110, 4096, 1024 * 1024]) {
  cpio(`what cpio(1) made, in pieces of ${pieceBytes}`, () => {
    const image = Buffer.concat([realCpio({ early: '1' }), Buffer.alloc(512), realCpio(files)]);
    const reader = readAll(image, pieceBytes);
    reader.end();
    const names = reader.found.map(({ name }) => name);
    for (const name of ['early', ...Object.keys(files), 'usr/bin', 'wanted'])
      assert.ok(names.includes(name), name);
    assert.equal(texts(reader.found), { 'wanted/a': files['wanted/a'], 'wanted/b': files['wanted/b'] });
  });
}
cpio('cut off anywhere, it is an error', () => {
  const image = realCpio({ 'wanted/a': 'abc', d: 'def' });
  const length = image.indexOf('TRAILER!!!');
  fc.assert(
    fc.property(fc.integer({ min: 1, max: length }), (at) => {
      assert.throws(() => readAll(image.subarray(0, at), 64).end(), /ends in the middle|no cpio header/);
    }),
  );
});
cpio('no archive', () => {
  const reader = readAll(Buffer.from('something else'), 5);
  assert.is(reader.rest?.toString().startsWith('somethin'), true);
});
cpio('a header that is spoilt', () => {
  const image = realCpio({ a: 'b'.repeat(100) });
  image.write('070709', image.indexOf('070701', 50));
  assert.throws(() => readAll(image, 4096), /no cpio header at byte \d+/);
});
cpio.run();

const image = suite('images');
for (const [title, pack] of [
  ['as they are', (data: Buffer) => data],
  ['gzip', (data: Buffer) => zlib.gzipSync(data)],
  ['zstd', (data: Buffer) => zlib.zstdCompressSync(data)],
] as const) {
  image(`${title}, behind microcode`, async () => {
    const folder = fs.mkdtempSync('/tmp/immutafs-image-');
    try {
      const whole = Buffer.concat([realCpio({ early: '1' }), Buffer.alloc(1024), pack(realCpio(files))]);
      fs.writeFileSync(path.join(folder, 'image'), whole);
      const reader = systemReader({ root: folder });
      const found = await readImage(reader, '/image', (name) => name === 'wanted/a');
      assert.ok(found.some(({ name }) => name === 'early'));
      assert.equal(texts(found), { 'wanted/a': files['wanted/a'] });
      fs.truncateSync(path.join(folder, 'image'), whole.length - 200);
      try {
        await readImage(reader, '/image', () => true);
        if (title !== 'as they are') assert.unreachable('no error');
      } catch (error) {
        assert.match((error as Error).message, /^\/image: /);
      }
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
}
image('well packed, and cut off before', () =>
  inTemporaryFolder(async (folder) => {
    fs.writeFileSync(path.join(folder, 'image'), zlib.gzipSync(realCpio(files).subarray(0, -600)));
    try {
      await readImage(systemReader({ root: folder }), '/image', () => false);
      assert.unreachable('no error');
    } catch (error) {
      assert.match((error as Error).message, '/image: ends in the middle of an archive');
    }
  }),
);
image.run();

const xfs = suite('XFS, as mkfs.xfs makes it');
for (const [options, expected] of [
  [[], true],
  [['-m', 'crc=0', '-n', 'ftype=0'], false],
  [['-m', 'crc=0', '-n', 'ftype=1'], true],
] as const) {
  xfs(options.join(' ') || 'by default', () =>
    inTemporaryFolder((folder) => {
      const file = path.join(folder, 'disk');
      fs.writeFileSync(file, '');
      fs.truncateSync(file, 320 * 1024 * 1024);
      execFileSync('mkfs.xfs', ['-q', ...options, file], { stdio: ['ignore', 'ignore', 'ignore'] });
      assert.is(hasFileTypes(systemReader({ root: folder }), '/disk'), expected);
    }),
  );
}
xfs('no XFS, too short, or nothing there', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { other: 'x'.repeat(1024), short: 'XFSB' });
    for (const name of ['/other', '/short', '/none']) {
      assert.is(hasFileTypes(systemReader({ root: folder }), name), undefined, name);
    }
  }),
);
xfs.run();

const diff = suite('diff');
for (const [before, after, expected] of [
  ['', 'a\n', ['+a']],
  ['a\nb\nc\nd\n', 'a\nB\nc\nd\n', [' a', '-b', '+B', ' c']],
  ['a\n', 'a', ['-a', '+a (without a newline)']],
  ['a\nb\n', 'a\nb\n', []],
  ['1\n2\n3\n4\n5\n6\n7\n', '0\n1\n2\n3\n4\n5\n6\n', ['+0', ' 1', ' 6', '-7']],
] as const) {
  diff(JSON.stringify([before, after]), () => assert.equal(diffLines(before, after), [...expected]));
}
const lines = fc
  .array(fc.constantFrom('a', 'b', 'c', ''))
  .map((all) => all.map((line) => `${line}\n`).join(''));
diff('what stays and goes is the old text, what stays and comes the new one', () => {
  fc.assert(
    fc.property(lines, lines, (before, after) => {
      const all = diffLines(before, after, Infinity);
      const of = (marks: string) =>
        all
          .filter((line) => marks.includes(line.charAt(0)))
          .map((line) => `${line.slice(1)}\n`)
          .join('');
      if (before === after) return;
      assert.is(of(' -'), before);
      assert.is(of(' +'), after);
    }),
  );
});
diff.run();
