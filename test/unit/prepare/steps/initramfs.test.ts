import { execFileSync } from 'node:child_process';
import zlib from 'node:zlib';
import * as assert from 'uvu/assert';
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import { makeCpio } from '../../../harness/cpio.ts';
import { goodImage, scripts } from '../../../harness/ordinary-guest.ts';
import { type Files, guestWith, table, tableOf } from '../../../harness/step-table.ts';
import { noSettings } from '../../../../agent/prepare/engine/step.ts';
import { planGuest } from '../../../../agent/prepare/prepare.ts';
import { type CpioFile, CpioReader, readImage } from '../../../../agent/prepare/steps/initramfs/image.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { type Guest, withGuest } from '../../../harness/guest.ts';
import { inDirectories, inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';
import { errorOf } from '../../../harness/rejection.ts';

const kernel = '3.10.0-1160.el7.x86_64';
const image = `boot/initramfs-${kernel}.img`;
const made = `/boot/.initramfs-${kernel}.img.immutafs`;
const written =
  "/bin/sh -c trap '' INT TERM HUP; if /usr/sbin/fsfreeze -f /boot; then /usr/sbin/fsfreeze -u /boot; else /usr/bin/sync; fi";
const actions = [`/usr/bin/dracut --force ${made} ${kernel}`, `rename ${made} /${image}`, written];
table('initramfs', 'initramfs', {
  'needed: without the hook': [{}, /img lacks the hook of this package\.$/, actions],
  'done: nothing missing': [{ [image]: goodImage() }, /has the scripts and the overlay driver/],
  'needed: without the driver': [
    { [image]: goodImage({ [`usr/lib/modules/${kernel}/kernel/fs/overlayfs/overlay.ko.xz`]: undefined }) },
    /img lacks the overlay driver\.$/,
    actions,
  ],
  'done: the driver is built in': [
    {
      [image]: goodImage({ [`usr/lib/modules/${kernel}/kernel/fs/overlayfs/overlay.ko.xz`]: undefined }),
      [`usr/lib/modules/${kernel}/modules.builtin`]: 'kernel/fs/xfs.ko\nkernel/fs/overlayfs/overlay.ko\n',
    },
  ],
  'needed: the scripts of an older version': [
    { [image]: goodImage({ 'usr/libexec/immutafs/early-program': `\x7fELF${'an older '.repeat(2048)}` }) },
    /lacks the scripts of this version/,
    actions,
  ],
  'done: dracut has stripped the program': [
    {
      [image]: goodImage({
        'usr/libexec/immutafs/early-program': scripts['early-program']
          .replace('program', 'PROGRAM')
          .replace(/program $/, 'PROGRAM '),
      }),
    },
  ],
  'needed: a missing script': [
    { [image]: goodImage({ 'usr/libexec/immutafs/library.sh': undefined }) },
    /lacks the scripts of this version/,
    actions,
  ],
  'needed: no image': [{ [image]: undefined }, /img does not exist/, actions],
  'needed: a truncated image': [{ [image]: goodImage().slice(0, -100) }, /img cannot be read/, actions],
  'needed: a truncated image, uncompressed': [
    { [image]: makeCpio({ a: 'b' }).toString('latin1').slice(0, -20) },
    /cannot be read.*ends in the middle/,
    actions,
  ],
  "done: Debian's file names": [{ [`boot/initrd.img-${kernel}`]: goodImage(), [image]: undefined }],
  'needed: a kernel whose image is only in /usr/lib/modules': [
    { [image]: goodImage(), 'usr/lib/modules/5.14.0-1.el9/vmlinuz': 'kernel' },
    /^\/boot\/initramfs-5\.14\.0-1\.el9\.img does not exist\.$/,
    [
      '/usr/bin/dracut --force /boot/.initramfs-5.14.0-1.el9.img.immutafs 5.14.0-1.el9',
      'rename /boot/.initramfs-5.14.0-1.el9.img.immutafs /boot/initramfs-5.14.0-1.el9.img',
      written,
    ],
  ],
  'by hand: a copy of a kernel, without modules': [
    { [image]: goodImage(), [`boot/vmlinuz-${kernel}.old`]: 'kernel' },
    /\.old\.img does not exist\..*there is no \/usr\/lib\/modules\/\S+\.old: remove \/boot\/vmlinuz-\S+\.old/,
  ],
  'needed: a kernel beside a copy without modules': [
    { [`boot/vmlinuz-${kernel}.old`]: 'kernel' },
    ...[/lacks the hook/, /no \/usr\/lib\/modules\/\S+\.old: remove/, actions],
  ],
  'blocked: no dracut': [{ 'usr/bin/dracut': undefined }, /dracut is not installed/],
  'blocked: the dracut module of the package is not there': [
    { 'usr/lib/dracut/modules.d/95immutafs/module-setup.sh': undefined },
    /install the package immutafs-agent/,
  ],
  'blocked: the package is not installed': [
    { 'usr/libexec/immutafs/early-program': undefined, 'usr/libexec/immutafs/library.sh': undefined },
    /install the package immutafs-agent/,
  ],
});

const zstd = () => {
  const text = goodImage();
  const begin = text.indexOf('\x1f\x8b');
  const unpacked = zlib.gunzipSync(Buffer.from(text.slice(begin), 'latin1'));
  return text.slice(0, begin) + zlib.zstdCompressSync(unpacked).toString('latin1');
};
/** A guest whose image lsinitrd lists. */
const listed = (...names: string[]) => ({
  files: { [image]: '\xfd7zXZ\0 packed' },
  change: ({ answers }: Guest) => {
    const lines = names.map((name) => `-rw-r--r--   1 root     root  1 Jan  1  1970 ${name}\n`);
    answers.labels = lines.join('');
  },
});
const isFull = ({ answers: { usage } }: Guest) => void (usage.usedBytes = usage.sizeBytes);
interface Changed {
  files?: Files;
  change?: (guest: Guest) => void;
}
tableOf(({ files = {}, change }: Changed) => {
  const guest = guestWith(files);
  change?.(guest);
  return guest;
})('initramfs: other cases', 'initramfs', {
  'done: zstd, as on EL9': [{ files: { [image]: zstd() } }],
  'blocked: no space for a new image': [{ change: isFull }, /\/boot has 0 B free/],
  'needed: space only because an image of an interrupted run is overwritten': [
    { files: { [made.slice(1)]: goodImage() + goodImage() }, change: isFull },
    actions,
  ],
  'needed: a /boot on the root is not frozen': [
    { change: ({ mounts }) => delete mounts['boot'] },
    actions.slice(0, 2),
  ],
  'needed: xz, of which lsinitrd lists nothing': [listed(), actions],
  'needed: xz, of which lsinitrd lists other files': [listed('usr/bin/sh'), actions],
  'done: xz, of which lsinitrd lists the files': [
    listed(
      'usr/lib/dracut/hooks/pre-pivot/10-immutafs-pre-pivot.sh',
      ...['usr/libexec/immutafs/early-program', 'usr/libexec/immutafs/library.sh'],
      `usr/lib/modules/${kernel}/kernel/fs/overlayfs/overlay.ko.xz`,
    ),
  ],
});

/** Makes an archive with cpio(1). */
function realCpio(files: Record<string, string>): Buffer {
  return inTemporaryDirectory((folder) => {
    writeFiles(folder, files);
    const input = execFileSync('find', ['.', '-print0'], { cwd: folder });
    return execFileSync('cpio', ['--null', '--create', '--quiet', '--format=newc'], { cwd: folder, input });
  });
}

/** Maps the names of files to the contents that were kept. */
function keptTexts(files: readonly CpioFile[]): Record<string, string | undefined> {
  return Object.fromEntries(
    files.filter(({ text }) => text !== undefined && text !== '').map(({ name, text }) => [name, text]),
  );
}

/** The files of a small initramfs. */
const cpioFiles = {
  'usr/bin/sh': 'shell'.repeat(1000),
  'wanted/a': '#!/bin/sh\n',
  'wanted/b': 'x'.repeat(70_000),
  c: '',
};

function readAll(archive: Buffer, pieceBytes: number): CpioReader {
  const reader = new CpioReader((name) => name.startsWith('wanted/'));
  for (let at = 0; at < archive.length; at += pieceBytes) reader.write(archive.subarray(at, at + pieceBytes));
  return reader;
}

const cpio = suite('cpio');
for (const pieceBytes of [1, 7, 110, 4096, 1024 * 1024]) {
  cpio(`archives of cpio(1), in pieces of ${pieceBytes} bytes`, () => {
    const archive = Buffer.concat([realCpio({ early: '1' }), Buffer.alloc(512), realCpio(cpioFiles)]);
    const reader = readAll(archive, pieceBytes);
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
  const archive = realCpio({ 'wanted/a': 'abc', d: 'def' });
  const length = archive.indexOf('TRAILER!!!');
  fc.assert(
    fc.property(fc.integer({ min: 1, max: length }), (at) => {
      assert.throws(() => readAll(archive.subarray(0, at), 64).end(), /ends in the middle|no cpio header/);
    }),
  );
});
cpio('data that is no archive', () => {
  const reader = readAll(Buffer.from('something else'), 5);
  assert.is(reader.rest?.toString().startsWith('somethin'), true);
});
cpio('a corrupt header', () => {
  const archive = realCpio({ a: 'b'.repeat(100) });
  archive.write('070709', archive.indexOf('070701', 50));
  assert.throws(() => readAll(archive, 4096), /no cpio header at byte \d+/);
});
cpio.run();

const reading = suite('readImage');
const readingIn = inDirectories(reading);
const read = (folder: string, isWanted: (name: string) => boolean) =>
  readImage(systemReader({ root: folder }), '/image', isWanted);
for (const [title, pack, lost] of [
  ['uncompressed', (data: Buffer) => data, 600],
  ['gzip', (data: Buffer) => zlib.gzipSync(data), 200],
  ['zstd', (data: Buffer) => zlib.zstdCompressSync(data), 200],
] as const) {
  readingIn(`${title}, after a microcode archive`, async (folder) => {
    const whole = Buffer.concat([realCpio({ early: '1' }), Buffer.alloc(1024), pack(realCpio(cpioFiles))]);
    const file = path.join(folder, 'image');
    fs.writeFileSync(file, whole);
    const found = await read(folder, (name) => name === 'wanted/a');
    assert.ok(found.some(({ name }) => name === 'early'));
    assert.equal(keptTexts(found), { 'wanted/a': cpioFiles['wanted/a'] });
    fs.truncateSync(file, whole.length - lost);
    assert.match((await errorOf(read(folder, () => true))).message, /^\/image: /);
  });
}
readingIn('an archive that was truncated before compression', async (folder) => {
  fs.writeFileSync(path.join(folder, 'image'), zlib.gzipSync(realCpio(cpioFiles).subarray(0, -600)));
  const { message } = await errorOf(read(folder, () => false));
  assert.match(message, /^\/image: ends in the middle of an archive/);
});
reading.run();

const kernels = suite('isOlderThanModules');
kernels('newer modules count; modules of the same age or of a wrong clock do not', async () => {
  const modules = `usr/lib/modules/${kernel}/modules.dep`;
  for (const [made, written, state] of [
    ['2026-03-01', '2026-03-02', 'needed'],
    ['2026-03-01', '2026-03-01', 'done'],
    ['2026-03-02', '2026-03-01', 'done'],
    ['2026-03-01', '2027-01-01', 'done'],
  ] as const) {
    await withGuest(guestWith({ [image]: goodImage(), [modules]: '' }), async (reader, root) => {
      for (const [file, day] of [
        [image, made],
        [modules, written],
      ] as const) {
        fs.utimesSync(path.join(root, file), new Date(day), new Date(day));
      }
      const { steps } = await planGuest(reader, noSettings, new Set(['initramfs']));
      assert.is(steps[0]?.state, state, `${made} ${written}`);
      const why = `/${image} is older than the modules of ${kernel}.`;
      if (state === 'needed') assert.equal(steps[0]?.why, [why]);
    });
  }
});
kernels.run();
