/** fstab, as immutafs-boot reads it. test/system/fstab-lines.test.ts reads the same lines with libmount. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unescapeBytes } from '../../../agent/lib/octal.ts';
import { wordOf } from '../../../boot/guest/disks.ts';
import { disksOfSource, readFstab, sourceFile } from '../../../boot/guest/fstab.ts';
import type { BootReader } from '../../../boot/native/reader.ts';
import { rootReader } from '../../harness/boot-native.ts';
import { fstabLines, fstabSources } from '../../harness/fstab-lines.ts';
import { makeSysfs } from '../../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

interface Given {
  files?: Parameters<typeof writeFiles>[1];
  devices?: Parameters<typeof makeSysfs>[1];
}

function withFiles<T>({ files = {}, devices = [] }: Given, read: (reader: BootReader) => T): T {
  return inTemporaryDirectory((root) => {
    makeSysfs(root, devices);
    writeFiles(root, files);
    return read(rootReader(root));
  });
}

const linesOf = (text: string) => withFiles({ files: { 'etc/fstab': text } }, (reader) => readFstab(reader));

const fstab = suite('fstab');
for (const [title, end] of [
  ['each line ends in a newline', '\n'],
  ['the last line has no newline', ''],
] as const) {
  fstab(title, () => {
    // systemd reads fstab with getmntent(3), which does not reject these lines.
    const lines = fstabLines.filter(({ reading }) => reading !== 'rejected');
    const text = lines.map(({ line }) => line).join('\n') + end;
    assert.equal(
      linesOf(text).map(({ target, type, options }) => [target, type, unescapeBytes(options || 'defaults')]),
      lines.flatMap(({ fields }) => (fields === null ? [] : [fields.slice(1)])),
    );
  });
}
fstab('the source and the options as written, and whether the source is a device', () => {
  const text = "UUID=1 / xfs\nLABEL=a'\\040b /x ext4 ro\\054a 0 0\nserver:/x /net nfs x\n/dev/vdb\n";
  assert.equal(linesOf(text), [
    { source: 'UUID=1', target: '/', type: 'xfs', options: '', isDevice: true },
    { source: "LABEL=a'\\040b", target: '/x', type: 'ext4', options: 'ro\\054a', isDevice: true },
    { source: 'server:/x', target: '/net', type: 'nfs', options: 'x', isDevice: false },
    { source: '/dev/vdb', target: '', type: '', options: '', isDevice: true },
  ]);
});
fstab('no file, and one that cannot be read', () => {
  assert.equal(
    withFiles({}, (reader) => readFstab(reader)),
    [],
  );
  assert.throws(
    () => withFiles({ files: { 'etc/fstab/x': '' } }, (reader) => readFstab(reader)),
    /^\/etc\/fstab: /,
  );
});
fstab.run();

const source = suite('source');
function ask(given: string, more: Given): string {
  return withFiles(more, (reader) => {
    const { file, sealedLink = '' } = sourceFile(reader, given);
    const found = disksOfSource(reader, given);
    const disks = found?.disks.map(wordOf).join(' ') ?? '';
    return [file, sealedLink, found?.file ?? '', disks, found?.state ?? ''].join('|');
  });
}
for (const [given, node] of fstabSources) {
  source(given, () => {
    const printed = ask(given, {});
    assert.is(Buffer.from(printed, 'latin1').toString('utf8'), `${node}||||`);
  });
}
const devices = [
  { name: 'vda', device: '252:0', bus: 'virtio-blk', offered: true },
  { name: 'vdb', device: '252:16', bus: 'virtio-blk' },
] as const;
const files = {
  ...{ 'dev/vda': '', 'dev/vdb': '', 'dev/none': '' },
  ...{ 'run/vdb': '', 'dev/file': { linkTo: '../run/vdb' } },
  'dev/disk/by-uuid/1': { linkTo: '../../vdb' },
  'dev/disk/by-uuid/2': { linkTo: '../../vdb' },
  'dev/block/immutafs/by-uuid/1': { linkTo: '../../../vda' },
};
for (const [title, given, expected] of [
  [
    'a copy of a sealed disk',
    'UUID=1',
    '/dev/vda|/dev/block/immutafs/by-uuid/1|/dev/vda|vda:1:virtio-feature|sealed',
  ],
  ['a disk without a sealed one', 'UUID=2', '/dev/disk/by-uuid/2||/dev/vdb|vdb:0:none|writable'],
  ['a device file', '/dev/vdb', '/dev/vdb||/dev/vdb|vdb:0:none|writable'],
  ['a device that does not exist', '/dev/vdc', '/dev/vdc||||'],
  ['a device whose disks are unknown', '/dev/none', '/dev/none||||'],
  ['a file with the name of a device', '/dev/file', '/dev/file||||'],
  ['no device', 'server:/x', 'server:/x||||'],
] as const) {
  source(title, () => assert.is(ask(given, { files, devices }), expected));
}
source.run();
