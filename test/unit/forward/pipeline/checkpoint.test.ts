import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  Checkpoint,
  checkpointFile,
  openCheckpoint,
  readCheckpoint,
  writeCheckpoint,
} from '../../../../agent/forward/pipeline/checkpoint.ts';
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

checkpoint('reads a good file', () => assert.equal(read(good), { cursor }));

for (const [what, content, problem] of [
  ['missing', undefined, undefined],
  ['of another boot', good.replace('BOOT=b', 'BOOT=c'), undefined],
  ['empty', '', 'is not a valid checkpoint'],
  ['cut off', good.slice(0, -20), 'is not a valid checkpoint'],
  ['without its last line feed', good.slice(0, -1), 'is not a valid checkpoint'],
  ['all zeros, as after a crash of the file system', '\0'.repeat(good.length), 'is not a valid checkpoint'],
  ['with an option for journalctl in it', good.replace('s=a', '--root=/ s=a'), 'is not a valid checkpoint'],
  ['followed by more text', `${good}x`, 'is not a valid checkpoint'],
  ['too large', good.repeat(10_000), 'larger than'],
  ['a directory', null, 'directory'],
  ['of this boot with the cursor of another', good.replace('b=b', 'b=c'), 'belongs to another boot'],
  ['from the future', good.replace('m=64', 'm=65'), 'is in the future'],
] as const) {
  checkpoint(`a file that is ${what}: begins with the boot's first entry`, () => {
    const answer = read(content);
    assert.is(answer.cursor, '');
    if (problem === undefined) assert.is(answer.problem, undefined);
    else assert.match(answer.problem ?? '', new RegExp(problem));
  });
}

checkpoint('writes the whole file or nothing', () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'checkpoint-'));
  const reader = systemReader({ root });
  const folder = path.dirname(path.join(root, checkpointFile));
  fs.mkdirSync(path.join(root, checkpointFile), { recursive: true });
  assert.throws(() => writeCheckpoint(systemWriter(root), boot, cursor), /cursor/);
  assert.equal(fs.readdirSync(folder), [path.basename(checkpointFile)]);
  fs.rmdirSync(path.join(root, checkpointFile));
  writeCheckpoint(systemWriter(root), boot, cursor);
  assert.equal(fs.readdirSync(folder), [path.basename(checkpointFile)]);
  assert.equal(readCheckpoint(reader, boot, 100), { cursor });
  fs.rmSync(root, { recursive: true });
});

const clock = { realtime: () => 0, monotonic: () => 100, bootId: boot };

/** Calls an action with a new root folder. */
function withRoot(action: (root: string) => void): void {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'checkpoint-'));
  try {
    action(root);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
}

checkpoint('continues after the saved entry, and saves at the latest after 256 entries', () => {
  withRoot((root) => {
    const reader = systemReader({ root });
    const problems: string[] = [];
    const first = openCheckpoint(reader, systemWriter(root), clock, (problem) => problems.push(problem));
    assert.is(first.cursor, '');
    fs.mkdirSync(path.dirname(path.join(root, checkpointFile)), { recursive: true });
    first.acknowledge(255, cursor);
    assert.is(
      openCheckpoint(reader, systemWriter(root), clock, (problem) => problems.push(problem)).cursor,
      '',
    );
    first.acknowledge(1, cursor);
    assert.is(first.unsaved, 0);
    assert.is(
      openCheckpoint(reader, systemWriter(root), clock, (problem) => problems.push(problem)).cursor,
      cursor,
    );
    assert.equal(problems, []);
  });
});

checkpoint('a file that can be neither read nor written is reported, and does not stop forwarding', () => {
  withRoot((root) => {
    fs.mkdirSync(path.join(root, checkpointFile), { recursive: true });
    const problems: string[] = [];
    const opened = openCheckpoint(systemReader({ root }), systemWriter(root), clock, (problem) =>
      problems.push(problem),
    );
    assert.is(opened.cursor, '');
    opened.acknowledge(256, cursor);
    assert.is(opened.cursor, cursor);
    assert.is(problems.length, 2, problems.join('\n'));
  });
});

checkpoint('a single entry is saved within a second', async () => {
  const written: string[] = [];
  const it = new Checkpoint('', (text) => written.push(text));
  it.acknowledge(1, 'a');
  it.acknowledge(1, 'b');
  assert.equal(written, []);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal(written, ['b']);
});

checkpoint.run();
