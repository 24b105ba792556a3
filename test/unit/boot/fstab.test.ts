/** fstab, as immutafs-boot prints it for the boot scripts. test/system/fstab-lines.test.ts reads the same lines with libmount. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { YES } from '../../../boot/commands.ts';
import { runBoot } from '../../harness/boot-native.ts';
import { fstabLines, fstabSources } from '../../harness/fstab-lines.ts';
import { makeSysfs } from '../../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

interface Given {
  files?: Parameters<typeof writeFiles>[1];
  devices?: Parameters<typeof makeSysfs>[1];
}

/** Returns what sh prints with the assignments that a command prints. */
function inShell(args: readonly string[], lines: string, { files = {}, devices = [] }: Given): string {
  return inTemporaryDirectory((root) => {
    makeSysfs(root, devices);
    writeFiles(root, files);
    const { code, stdout, stderr } = runBoot(root, args);
    assert.equal([code, stderr], [YES, '']);
    fs.writeFileSync(path.join(root, 'printed'), stdout, 'latin1');
    const text = `newline='\n'\n${lines}`;
    return execFileSync('dash', ['-c', text], { encoding: 'latin1', cwd: root, env: { LC_ALL: 'C' } });
  });
}

const each = (print: string) => `while IFS= read -r line; do eval "$line"; ${print}; done <printed`;

const fstab = suite('fstab');
for (const [title, end] of [
  ['each line ends in a newline', '\n'],
  ['the last line has no newline', ''],
] as const) {
  fstab(title, () => {
    // systemd reads fstab with getmntent(3), which does not reject these lines.
    const lines = fstabLines.filter(({ reading }) => reading !== 'rejected');
    const text = lines.map(({ line }) => line).join('\n') + end;
    const print = String.raw`printf '%s\0' "$target" "$type" "$plain_options"`;
    const printed = inShell(['fstab', '/etc/fstab'], each(print), { files: { 'etc/fstab': text } });
    assert.equal(
      printed.split('\0').slice(0, -1),
      lines.flatMap(({ fields }) => fields?.slice(1) ?? []),
    );
  });
}
fstab('the source and the options as written, and whether the source is a device', () => {
  const text = "UUID=1 / xfs\nLABEL=a'\\040b /x ext4 ro\\054a 0 0\nserver:/x /net nfs x\n/dev/vdb\n";
  const print = String.raw`printf '%s|%s|%s|%s\n' "$source" "$options" "$is_device" "$target"`;
  const printed = inShell(['fstab', '/etc/fstab'], each(print), { files: { 'etc/fstab': text } });
  assert.equal(printed.split('\n'), [
    'UUID=1|defaults|1|/',
    "LABEL=a'\\040b|ro\\054a|1|/x",
    'server:/x|x||/net',
    '/dev/vdb|defaults|1|',
    '',
  ]);
});
fstab('no file, and one that cannot be read', () => {
  assert.is(inShell(['fstab', '/etc/fstab'], 'cat printed', {}), '');
  inTemporaryDirectory((root) => {
    writeFiles(root, { 'etc/fstab/x': '' });
    assert.is(runBoot(root, ['fstab', '/etc/fstab']).code, 3);
  });
});
fstab.run();

const source = suite('source');
const shown = String.raw`. ./printed; printf '%s|%s|%s|%s|%s' "$node" "$sealed_link" "$found_node" "$found_disks" "$found_state"`;
const ask = (given: string, more: Given) => inShell(['source', given], shown, more);
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
    '/dev/vda|/dev/block/immutafs/by-uuid/1|/dev/vda|vda:1:virtio-feature |sealed',
  ],
  ['a disk without a sealed one', 'UUID=2', '/dev/disk/by-uuid/2||/dev/vdb|vdb:0:none |writable'],
  ['a device file', '/dev/vdb', '/dev/vdb||/dev/vdb|vdb:0:none |writable'],
  ['a device that does not exist', '/dev/vdc', '/dev/vdc||||'],
  ['a device whose disks are unknown', '/dev/none', '/dev/none||||'],
  ['a file with the name of a device', '/dev/file', '/dev/file||||'],
  ['no device', 'server:/x', 'server:/x||||'],
] as const) {
  source(title, () => assert.is(ask(given, { files, devices }), expected));
}
source.run();
