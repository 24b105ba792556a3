import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  Checkpoint,
  checkpointFile,
  type FilePositions,
  readCheckpoint,
  storedCheckpoint,
  writeCheckpoint,
} from '../../../../agent/forward/pipeline/checkpoint.ts';
import { toJson } from '../../../../agent/lib/unprintable.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { systemWriter } from '../../../../agent/system/writer.ts';

const checkpoint = suite('checkpoint');
const boot = 'b'.repeat(32);
const cursor = `s=${'a'.repeat(32)};i=5;b=${boot};m=64;t=1000;x=1`;
const good = `BOOT=${boot}\nCURSOR=${cursor}\n`;

/**
 * Reads a checkpoint file with the given content. With undefined, there is no file; with null, there is a directory
 * instead of the file.
 */
function read(content: string | undefined | null): ReturnType<typeof readCheckpoint> {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'checkpoint-'));
  const file = path.join(root, checkpointFile);
  fs.mkdirSync(content === null ? file : path.dirname(file), { recursive: true });
  if (typeof content === 'string') fs.writeFileSync(file, content);
  try {
    return readCheckpoint(systemReader({ root }), boot, 100);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
}

const hash = '0123456789abcdef'.repeat(2);
const record = {
  path: '/var/log/a "b"\u2028é',
  inode: '65024:131',
  offset: 5,
  bytes: 9,
  modified: 1.5,
  head: hash,
  before: hash,
};
const fileLine = `FILE=65024:131 5 9 1.5 ${hash} ${hash} ${toJson(record.path)}\n`;

checkpoint('reads a good file', () => assert.equal(read(good), { cursor, files: [] }));

checkpoint('reads the positions in log files, with or without a cursor', () => {
  assert.equal(read(good + fileLine), { cursor, files: [record] });
  assert.equal(read(`BOOT=${boot}\nCURSOR=\n${fileLine}`), { cursor: '', files: [record] });
});

checkpoint('a cursor that is not usable does not make the positions in log files unusable', () => {
  assert.equal(read(good.replace('m=64', 'm=65') + fileLine).files, [record]);
});

for (const [what, content, problem] of [
  ['missing', undefined, undefined],
  ['of another boot', good.replace('BOOT=b', 'BOOT=c'), undefined],
  ['empty', '', 'is not a valid checkpoint'],
  ['cut off', good.slice(0, -20), 'is not a valid checkpoint'],
  ['without its last line feed', good.slice(0, -1), 'is not a valid checkpoint'],
  ['all zeros, as after a crash of the file system', '\0'.repeat(good.length), 'is not a valid checkpoint'],
  ['with an option for journalctl in it', good.replace('s=a', '--root=/ s=a'), 'is not a valid checkpoint'],
  ['cut off within a position', good + fileLine.slice(0, -1), 'is not a valid checkpoint'],
  ['with another line between positions', `${good}${fileLine}x\n${fileLine}`, 'is not a valid checkpoint'],
  ['followed by more text', `${good}x`, 'is not a valid checkpoint'],
  ['too large', good + fileLine.repeat(10_000), 'larger than'],
  ['a directory', null, 'directory'],
  ['of this boot with the cursor of another', good.replace('b=b', 'b=c'), 'belongs to another boot'],
  ['from the future', good.replace('m=64', 'm=65'), 'is in the future'],
] as const) {
  checkpoint(`a file that is ${what}: begins with the boot's first entry`, () => {
    const answer = read(content);
    assert.is(answer.cursor, '');
    assert.equal(answer.files, []);
    if (problem === undefined) assert.is(answer.problem, undefined);
    else assert.match(answer.problem ?? '', new RegExp(problem));
  });
}

for (const [what, from, to] of [
  ['a malformed position', '5 9', '-5 9'],
  ['a position in a relative path', '"/', '"'],
  ['a position in no path', '"\n', '\n'],
] as const)
  checkpoint(`${what} is left out, and the rest is used`, () => {
    const bad = fileLine.replace(from, to);
    assert.is.not(bad, fileLine);
    const problem = `${checkpointFile} contains malformed positions of log files (2)`;
    assert.equal(read(good + bad + fileLine + bad), { cursor, files: [record], problem });
    const future = read(good.replace('m=64', 'm=65') + bad + fileLine);
    assert.equal([future.cursor, future.files], ['', [record]]);
    assert.match(future.problem ?? '', /is in the future, and .* malformed positions of log files \(1\)$/);
  });

checkpoint('more records than can be read are left out', () => {
  withRoot((root) => {
    fs.mkdirSync(path.dirname(path.join(root, checkpointFile)), { recursive: true });
    const files = Array.from({ length: 400 }, (_, n) => ({
      ...record,
      path: `/var/log/${n}/${'\x01'.repeat(n === 0 ? 0 : 1000)}`,
    }));
    files.push(record);
    writeCheckpoint(systemWriter(root), boot, { cursor, files });
    const stored = readCheckpoint(systemReader({ root }), boot, 100);
    assert.equal([stored.cursor, stored.problem], [cursor, undefined]);
    assert.ok(stored.files.length > 100 && stored.files.length < 400, `${stored.files.length} records`);
    assert.equal([stored.files[0], stored.files.at(-1)], [files[0], record]);
  });
});

checkpoint('writes the whole file or nothing', () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'checkpoint-'));
  const reader = systemReader({ root });
  const folder = path.dirname(path.join(root, checkpointFile));
  fs.mkdirSync(path.join(root, checkpointFile), { recursive: true });
  assert.throws(() => writeCheckpoint(systemWriter(root), boot, { cursor, files: [record] }), /cursor/);
  assert.equal(fs.readdirSync(folder), [path.basename(checkpointFile)]);
  fs.rmdirSync(path.join(root, checkpointFile));
  writeCheckpoint(systemWriter(root), boot, { cursor, files: [record] });
  assert.equal(fs.readdirSync(folder), [path.basename(checkpointFile)]);
  assert.equal(readCheckpoint(reader, boot, 100), { cursor, files: [record] });
  fs.rmSync(root, { recursive: true });
});

/** Positions that remember what was acknowledged. */
function positions(): FilePositions & { acknowledged: string[] } {
  const acknowledged: string[] = [];
  return {
    acknowledged,
    acknowledge: (position) => void acknowledged.push(position),
    records: () => [record],
  };
}

/** Calls an action with a new root folder. */
function withRoot(action: (root: string) => void): void {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'checkpoint-'));
  try {
    action(root);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
}

checkpoint('saves at the latest after 256 entries', () => {
  withRoot((root) => {
    const stored = () => readCheckpoint(systemReader({ root }), boot, 100);
    const problems: string[] = [];
    const files = positions();
    const first = storedCheckpoint('', files, systemWriter(root), boot, undefined, (problem) =>
      problems.push(problem),
    );
    fs.mkdirSync(path.dirname(path.join(root, checkpointFile)), { recursive: true });
    first.acknowledge(255, [cursor, '1:20', '2:30']);
    assert.equal(files.acknowledged, ['1:20', '2:30']);
    assert.equal(stored(), { cursor: '', files: [] });
    first.acknowledge(1, ['1:40']);
    assert.is(first.unsaved, 0);
    assert.is(first.cursor, cursor);
    assert.equal(stored(), { cursor, files: [record] });
    assert.equal(problems, []);
  });
});

checkpoint('a file that cannot be written is reported, and does not stop forwarding', () => {
  withRoot((root) => {
    fs.mkdirSync(path.join(root, checkpointFile), { recursive: true });
    const problems: string[] = [];
    const it = storedCheckpoint('', positions(), systemWriter(root), boot, undefined, (problem) =>
      problems.push(problem),
    );
    it.acknowledge(256, [cursor]);
    assert.is(it.cursor, cursor);
    assert.is(problems.length, 1, problems.join('\n'));
  });
});

checkpoint('a single entry is saved within a second', async () => {
  const written: string[] = [];
  const it = new Checkpoint('', positions(), (text) => written.push(text));
  it.acknowledge(1, ['a']);
  it.acknowledge(1, ['b']);
  assert.equal(written, []);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal(written, ['b']);
});

checkpoint.run();
