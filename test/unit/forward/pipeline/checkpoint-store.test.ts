import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { forwardDirectory } from '../../../../agent/facts/forwarder.ts';
import type { FileRecord } from '../../../../agent/forward/files/content.ts';
import {
  CheckpointStore,
  type Start,
  checkpointFile,
  formatCheckpoint,
  parseCheckpoint,
  readStart,
} from '../../../../agent/forward/pipeline/checkpoint-store.ts';
import { toJson } from '../../../../agent/lib/unprintable.ts';
import { statLogFile } from '../../../../agent/system/log-file.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { systemWriter } from '../../../../agent/system/writer.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const stores = suite('the stored checkpoint, at which forwarding begins');

const [boot, earlier, machine] = ['b'.repeat(32), 'e'.repeat(32), 'd'.repeat(32)];
const clock = { realtime: () => 1_700_000_000_000_000, monotonic: () => 100, bootId: boot };
const cursorOf = (id: string) => `s=${'a'.repeat(32)};i=5;b=${id};m=64;t=1000;x=1`;
const cursor = cursorOf(boot);
const hash = '0123456789abcdef'.repeat(2);
const record = {
  ...{ path: '/var/log/a "b"\u2028é', inode: '65024:131', offset: 5, bytes: 9, modified: 1.5 },
  ...{ head: hash, before: hash },
};
const earlierRecord = { ...record, isEarlier: true as const };
const line = `FILE=65024:131 5 9 1.5 ${hash} ${hash} ${toJson(record.path)}\n`;
const bad = line.replace('1.5', '-1.5');
const good = `BOOT=${boot}\nCURSOR=${cursor}\n`;
const state = '/data/state';

/**
 * Reads where forwarding begins, on a system with a checkpoint of this boot and one on a data disk.
 * @param content with undefined, there is no file; a function creates something else
 */
function read(
  content: string | undefined | ((file: string) => unknown),
  durable?: string,
  directory = forwardDirectory,
) {
  return inTemporaryDirectory((root): Start & { problems: string[] } => {
    const problems: string[] = [];
    writeFiles(root, {
      'etc/machine-id': `${machine}\n`,
      ...(typeof content === 'string' ? { [checkpointFile.slice(1)]: bytes(content) } : {}),
      ...(durable === undefined ? {} : { [`${state.slice(1)}/checkpoint`]: bytes(durable) }),
    });
    fs.mkdirSync(path.join(root, forwardDirectory), { recursive: true });
    if (typeof content === 'function') content(path.join(root, checkpointFile));
    const trouble = (reason: string) => problems.push(reason);
    return { ...readStart(systemReader({ root }), directory, clock, trouble), problems };
  });
}

const bytes = (text: string) => Buffer.from(text).toString('latin1');
const ofThisBoot = { firstBoot: 'this', trusted: true } as const;

stores('the cursor and the positions in log files are read, with or without each other', () => {
  assert.equal(read(good), { cursor, files: [], ...ofThisBoot, problems: [] });
  assert.equal(read(good + line), { cursor, files: [record], ...ofThisBoot, problems: [] });
  assert.equal(read(`BOOT=${boot}\nCURSOR=\n${line}`).files, [record]);
  assert.equal(read(good.replace('m=64', 'm=65') + line).files, [record]);
});

for (const [what, content, problem] of [
  ['missing', undefined, undefined],
  ['of another boot', good.replace('BOOT=b', 'BOOT=c'), undefined],
  ['empty', '', 'is not a valid checkpoint'],
  ['without a cursor in its place', `BOOT=${boot}\nCURSOR=garbage\n`, 'is not a valid checkpoint'],
  ['cut off', good.slice(0, -20), 'is not a valid checkpoint'],
  ['without its last line feed', good.slice(0, -1), 'is not a valid checkpoint'],
  ['all zeros, as after a crash of the file system', '\0'.repeat(good.length), 'is not a valid checkpoint'],
  ['with an option for journalctl in it', good.replace('s=a', '--root=/ s=a'), 'is not a valid checkpoint'],
  ['cut off within a position', good + line.slice(0, -1), 'is not a valid checkpoint'],
  ['with another line between positions', `${good}${line}x\n${line}`, 'is not a valid checkpoint'],
  ['too large', good + line.repeat(10_000), 'larger than'],
  ['a directory', (file: string) => fs.mkdirSync(file), 'directory'],
  ['a FIFO', (file: string) => execFileSync('mkfifo', [file]), 'not a regular file'],
  ['of this boot with the cursor of another', good.replace('b=b', 'b=c'), 'belongs to another boot'],
  ['from the future', good.replace('m=64', 'm=65'), 'is in the future'],
] as const) {
  stores(`a file that is ${what}: begins with the boot's first entry`, () => {
    const { problems, ...start } = read(content);
    assert.equal(start, { cursor: '', files: [], ...ofThisBoot });
    if (problem === undefined) assert.equal(problems, []);
    else assert.match(problems.join(), new RegExp(`${problem}.*; starting at this boot's first entry$`));
  });
}

stores('a malformed position is reported, and does not change where the journal begins', () => {
  const problems = [`${checkpointFile} contains malformed positions of log files (2)`];
  assert.equal(read(good + bad + line + bad), { cursor, files: [record], ...ofThisBoot, problems });
  const future = read(good.replace('m=64', 'm=65') + bad + line);
  assert.equal([future.cursor, future.files], ['', [record]]);
  assert.match(future.problems.join(), /is in the future, and .* malformed positions of log files \(1\);/);
});

stores('on a data disk: the same', () => {
  const durable = `MACHINE=${machine}\nBOOT=${earlier}\nCURSOR=${cursorOf(earlier)}\n${bad}${line}`;
  assert.equal(read(undefined, durable, state), {
    ...{ cursor: cursorOf(earlier), files: [earlierRecord], firstBoot: 'this', trusted: false },
    problems: [`FORWARD_STATE: ${state}/checkpoint contains malformed positions of log files (1)`],
  });
  for (const [unusable, problem] of [
    ['', `${state}/checkpoint is not a valid checkpoint`],
    [`MACHINE=${machine}\nCURSOR=\n${line}`, `${state}/checkpoint is not a valid checkpoint`],
    [durable.replace('=d', '=c'), `${state}/checkpoint belongs to another machine`],
    [durable.replace('t=1000', 't=6ffffffffffff'), `the cursor in ${state}/checkpoint is in the future`],
    [undefined, `${state} does not exist`],
  ] as const) {
    const { problems, ...start } = read(undefined, unusable, state);
    assert.equal(problems, [`FORWARD_STATE: ${problem}; starting at the oldest entry`]);
    assert.equal(start, { cursor: '', files: [], firstBoot: 'oldest', trusted: false });
  }
  const lines = read(`BOOT=${boot}\nCURSOR=\n${line}`, durable.replace('FILE=', 'FILE=1'), state);
  assert.equal([lines.cursor, lines.files, lines.trusted], [cursorOf(earlier), [record], true]);
});

/** Calls an action with a store in /run, a function that reads it, and the reported problems. */
function withStore(
  action: (store: CheckpointStore, stored: () => Start, problems: string[], file: string) => void,
): void {
  inTemporaryDirectory((root) => {
    const problems: string[] = [];
    const trouble = (reason: string) => void problems.push(reason);
    const reader = systemReader({ root });
    fs.mkdirSync(path.join(root, forwardDirectory), { recursive: true });
    const options = {
      reader,
      writer: systemWriter(root),
      directory: forwardDirectory,
      bootId: boot,
      trouble,
    };
    const store = new CheckpointStore(options, { cursor: '', files: [], ...ofThisBoot });
    const stored = () => readStart(reader, forwardDirectory, clock, trouble);
    action(store, stored, problems, path.join(root, checkpointFile));
  });
}

stores('more records than can be read are left out', () => {
  withStore((store, stored, problems) => {
    const files = Array.from({ length: 400 }, (_, n) => ({
      ...record,
      path: `/var/log/${n}/${'\x01'.repeat(n === 0 ? 0 : 1000)}`,
    }));
    files.push(record);
    store.save({ cursor, files });
    const found = stored();
    assert.equal([found.cursor, problems], [cursor, []]);
    assert.ok(found.files.length > 100 && found.files.length < 400, `${found.files.length} records`);
    assert.equal([found.files[0], found.files.at(-1)], [files[0], record]);
  });
});

stores('a file that cannot be written is reported, forwarding continues, and no part of it remains', () => {
  withStore((store, stored, problems, file) => {
    fs.mkdirSync(file);
    store.save({ cursor, files: [record] });
    assert.is(problems.length, 1, problems.join('\n'));
    fs.rmdirSync(file);
    store.save({ cursor, files: [record] });
    assert.equal(fs.readdirSync(path.dirname(file)), [path.basename(file)]);
    assert.equal(stored(), { cursor, files: [record], ...ofThisBoot });
  });
});

stores(
  'a record of an earlier boot for a log that does not exist is kept on the data disk only',
  async () => {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), 'store-'));
    try {
      for (const directory of [forwardDirectory, state])
        fs.mkdirSync(path.join(root, directory), { recursive: true });
      const reader = systemReader({ root });
      const trouble = (reason: string) => assert.unreachable(reason);
      const options = { reader, writer: systemWriter(root), directory: state, bootId: boot, trouble };
      const store = new CheckpointStore(options, { cursor: '', files: [], ...ofThisBoot });
      const other = { ...record, path: '/var/log/other.log' };
      store.save({ cursor, files: [other, earlierRecord] });
      await store.flush();
      const start = readStart(reader, state, clock, trouble);
      assert.equal([start.files, start.trusted], [[other], true]);
      fs.rmSync(path.join(root, checkpointFile));
      const next = readStart(reader, state, { ...clock, bootId: 'c'.repeat(32) }, trouble);
      const unused = [{ ...other, isEarlier: true }, earlierRecord];
      assert.equal([next.files, next.trusted], [unused, false]);
    } finally {
      fs.rmSync(root, { recursive: true });
    }
  },
);

stores.run();

const records = suite('lines of the checkpoint for log files');

const head = `BOOT=${'b'.repeat(32)}\nCURSOR=\n`;
const formatRecord = (record: FileRecord) =>
  formatCheckpoint('b'.repeat(32), { cursor: '', files: [record] }).slice(head.length);
const parseRecord = (line: string) => parseCheckpoint(`${head}${line}\n`)?.files[0];

const number = fc.nat({ max: 2 ** 40 });
const anyHash = fc.stringMatching(/^[0-9a-f]{32}$/);
const anyRecord: fc.Arbitrary<FileRecord> = fc.record(
  {
    path: fc.string({ unit: 'binary' }).map((name) => `/var/log/${name}`),
    inode: fc.tuple(number, number).map(([device, inode]) => `${device}:${inode}`),
    ...{ offset: number, bytes: number, head: anyHash, before: anyHash },
    modified: fc.nat({ max: 2_000_000_000_000_000 }).map((microseconds) => microseconds / 1000),
  },
  { noNullPrototype: true },
);
const example: FileRecord = {
  ...{ path: '/var/log/a "b".log', inode: '2049:77', offset: 10, bytes: 20, modified: 1700000000000.25 },
  ...{ head: 'a'.repeat(32), before: 'b'.repeat(32) },
};

records('a record is one line, and is read as it was written', () => {
  fc.assert(
    fc.property(anyRecord, (each) => {
      const line = formatRecord(each);
      assert.is(line.indexOf('\n'), line.length - 1);
      assert.equal(parseRecord(line.slice(0, -1)), each);
    }),
  );
});

for (const [title, [from, to]] of Object.entries<[string | RegExp, string]>({
  'a negative offset': [' 10 ', ' -10 '],
  'an offset that is too long': [' 10 ', ` ${'1'.repeat(17)} `],
  'an offset that is not exact': [' 10 ', ` ${Number.MAX_SAFE_INTEGER + 1} `],
  'an mtime that is too late': ['1700000000000.25', '1000000000000001'],
  'no inode': ['2049:77', '77'],
  'a short hash': ['aaaa', 'aaa'],
  'a path that is not absolute': ['"/var', '"var'],
  'a path that is not a string of JSON': ['\\"b', '"b'],
  'a path without a quotation mark': [/"$/, ''],
  'something after the path': [/$/, ' x'],
}))
  records(`${title} is malformed`, () => {
    const line = formatRecord(example).slice(0, -1);
    assert.ok(parseRecord(line));
    assert.is.not(line.replace(from, to), line);
    assert.is(parseRecord(line.replace(from, to)), undefined);
  });

for (const seconds of [-1e9, 1e18])
  records(`an mtime of ${seconds} s, which the owner of a log may set, does not spoil the checkpoint`, () => {
    inTemporaryDirectory((directory) => {
      const file = path.join(directory, 'a.log');
      fs.writeFileSync(file, '');
      fs.utimesSync(file, seconds, seconds);
      const { modified } = statLogFile(file) ?? {};
      assert.ok(modified !== undefined);
      const record = { ...example, modified };
      assert.equal(parseRecord(formatRecord(record).slice(0, -1)), record);
    });
  });

for (const [title, changes, read] of [
  ['a negative mtime', { modified: -1e12 }, { modified: 0 }],
  ['a late mtime', { modified: 9e18 }, { modified: 1e15 }],
  ['a tiny mtime', { modified: 1e-7 }, { modified: 0 }],
  ['an mtime that is one nanosecond', { modified: 1e-6 }, { modified: 1e-6 }],
  ['a huge size', { bytes: 4 * 2 ** 60 }, { bytes: Number.MAX_SAFE_INTEGER }],
  ['a size without an exact form', { bytes: 1e300 }, { bytes: Number.MAX_SAFE_INTEGER }],
  ['a huge offset', { offset: 4 * 2 ** 60 }, { offset: Number.MAX_SAFE_INTEGER }],
] as const)
  records(`${title} is limited when it is written, and can be read`, () => {
    assert.equal(parseRecord(formatRecord({ ...example, ...changes }).slice(0, -1)), { ...example, ...read });
  });

records.run();
