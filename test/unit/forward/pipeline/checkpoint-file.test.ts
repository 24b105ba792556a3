import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  positionFile,
  readPosition,
  writePosition,
} from '../../../../agent/forward/pipeline/checkpoint-file.ts';
import { systemReader } from '../../../../agent/system/reader.ts';

const position = suite('the saved cursor');
const boot = 'b'.repeat(32);
const cursor = `s=${'a'.repeat(32)};i=5;b=${boot};m=64;t=1000;x=1`;
const good = `BOOT=${boot}\nCURSOR=${cursor}\n`;

/** With a file of such a content; undefined: none; null: a folder in its place. */
function read(content: string | undefined | null): ReturnType<typeof readPosition> {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'position-'));
  const file = path.join(root, positionFile);
  fs.mkdirSync(content === null ? file : path.dirname(file), { recursive: true });
  if (typeof content === 'string') fs.writeFileSync(file, content);
  try {
    return readPosition(systemReader({ root }), boot, 100);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
}

position('what was written is read', () => assert.equal(read(good), { cursor }));

for (const [what, content, problem] of [
  ['none', undefined, undefined],
  ['of another boot', good.replace('BOOT=b', 'BOOT=c'), undefined],
  ['empty', '', 'is garbage'],
  ['cut off', good.slice(0, -20), 'is garbage'],
  ['without its last line feed', good.slice(0, -1), 'is garbage'],
  ['all zeros, as a file system leaves it after a crash', '\0'.repeat(good.length), 'is garbage'],
  ['with an option for journalctl in it', good.replace('s=a', '--root=/ s=a'), 'is garbage'],
  ['followed by something', `${good}x`, 'is garbage'],
  ['endless', good.repeat(10_000), 'larger than'],
  ['a folder', null, 'directory'],
  ['of this boot with the cursor of another', good.replace('b=b', 'b=c'), 'is of another boot'],
  ['of the future', good.replace('m=64', 'm=65'), 'is of the future'],
] as const) {
  position(`a file that is ${what}: it begins with the boot's first entry`, () => {
    const answer = read(content);
    assert.is(answer.cursor, '');
    if (problem === undefined) assert.is(answer.problem, undefined);
    else assert.match(answer.problem ?? '', new RegExp(problem));
  });
}

position('it is written whole or not at all', () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'position-'));
  const reader = systemReader({ root });
  const folder = path.dirname(path.join(root, positionFile));
  fs.mkdirSync(path.join(root, positionFile), { recursive: true });
  assert.throws(() => writePosition(reader, boot, cursor), /cursor/);
  assert.equal(fs.readdirSync(folder), [path.basename(positionFile)]);
  fs.rmdirSync(path.join(root, positionFile));
  writePosition(reader, boot, cursor);
  assert.equal(fs.readdirSync(folder), [path.basename(positionFile)]);
  assert.equal(readPosition(reader, boot, 100), { cursor });
  fs.rmSync(root, { recursive: true });
});

position.run();
