import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  attributeNotes,
  capacityOf,
  foreignNames,
  installHint,
} from '../../../../agent/prepare/move/requirements.ts';
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
