import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  attributeNotes,
  capacityOf,
  foreignNames,
  installHint,
  sizeOfDirectory,
} from '../../../../agent/prepare/move/requirements.ts';
import { mountTable } from '../../../../agent/facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../../../agent/system/reader.ts';
import { byLines } from '../../../../agent/prepare/move/lines.ts';

const move = suite('prepare: parts of a move');
move('directories of another file system, with any name', () => {
  const found = foreignNames('41 /home/sub\x0042 /home/a\nb\x00');
  assert.is(found.length, 2);
  assert.match(found[0] ?? '', /^\/home\/sub is a file system of its own/);
  assert.match(found[1] ?? '', '/home/a\nb is a file system');
  assert.equal(foreignNames(''), []);
});
move('attributes that the file system sets itself are not named', () => {
  const noteOf = (lines: string) => attributeNotes(lines, '/home')[0] ?? '';
  assert.is(noteOf('--------------e------- /home/a\n----------I---e------- /home/d\n'), '');
  const note = noteOf('----i---------e------- /home/a b\n-----a---------------- /home/log\n');
  assert.match(note, '/home/a b (immutable), /home/log (append-only). ');
});
move('lines that arrive in any chunks', () => {
  const lines: string[] = [];
  const feed = byLines((each) => lines.push(each), /[\r\n]/);
  for (const part of ['ab', 'c\rde\n\n', 'f', '\r']) feed(part);
  assert.equal(lines, ['abc', 'de', 'f']);
});
move('capacity of a disk', () => {
  assert.is(capacityOf(0), 0);
  assert.ok(capacityOf(1024 ** 3) < 1024 ** 3 * 0.9 && capacityOf(1024 ** 4) > 1024 ** 4 * 0.95);
});
for (const [title, target, root, expected] of [
  ['a directory of a file system', '/var', '/', 10],
  ['a file system of its own', '/var/lib/app', '/', 5000],
  ['a directory that PERSIST mounts', '/var/lib/app', '/store/var=lib=app', 10],
] as const) {
  move(`the size of ${title}`, async () => {
    const mounts = mountTable(
      `1 0 253:0 / / rw - xfs /dev/vda rw\n2 1 252:16 ${root} ${target} rw - xfs /dev/vdb rw\n`,
    );
    const reader = {
      usage: () => ({ usedBytes: 5000 }),
      run: () => Promise.resolve({ stdout: '10\t/var/lib/app\n', ended: 'good' }),
    } as unknown as SystemReader;
    assert.is(await sizeOfDirectory(reader, mounts, '/var/lib/app', 100), expected);
    assert.is(await sizeOfDirectory(reader, mounts, '/var/lib/app', 5000), 5000);
  });
}
for (const [managers, expected] of [
  [['dnf', 'yum'], 'run `dnf install attr`'],
  [['yum'], 'run `yum install attr`'],
  [['apt-get'], 'run `apt-get install attr`'],
  [['zypper'], 'install the package attr'],
] as const) {
  move(managers.join(), () => {
    const stat = (file: string) => (managers.some((each) => file === `/usr/bin/${each}`) ? {} : undefined);
    assert.is(installHint({ stat } as unknown as SystemReader, 'attr'), expected);
  });
}
move.run();
