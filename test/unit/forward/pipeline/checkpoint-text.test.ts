import fc from 'fast-check';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { FileRecord } from '../../../../agent/forward/files/content.ts';
import { formatCheckpoint, parseCheckpoint } from '../../../../agent/forward/pipeline/checkpoint-store.ts';
import { statLogFile } from '../../../../agent/system/log-file.ts';
import { inTemporaryDirectory } from '../../../harness/temporary.ts';

const records = suite('lines of the checkpoint for log files');

const head = `BOOT=${'b'.repeat(32)}\nCURSOR=\n`;
const formatRecord = (record: FileRecord) =>
  formatCheckpoint('b'.repeat(32), { cursor: '', files: [record] }).slice(head.length);
const parseRecord = (line: string) => parseCheckpoint(`${head}${line}\n`)?.files[0];

const number = fc.nat({ max: 2 ** 40 });
const hash = fc.stringMatching(/^[0-9a-f]{32}$/);
const record: fc.Arbitrary<FileRecord> = fc.record(
  {
    path: fc.string({ unit: 'binary' }).map((name) => `/var/log/${name}`),
    inode: fc.tuple(number, number).map(([device, inode]) => `${device}:${inode}`),
    ...{ offset: number, bytes: number, head: hash, before: hash },
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
    fc.property(record, (each) => {
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
