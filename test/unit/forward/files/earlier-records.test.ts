import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type FileRecord, hashesOf } from '../../../../agent/forward/files/content.ts';
import type { LogFilesOptions } from '../../../../agent/forward/files/log-files.ts';
import { forwardedLines, logFiles } from '../../../harness/log-sources.ts';
import { inDirectories } from '../../../harness/temporary.ts';

/** Tests the positions of an earlier boot (FORWARD_STATE), which root in that boot may have forged. */
const earlier = suite('positions in log files that an earlier boot stored');
const earlierIn = inDirectories(earlier);

const booted = 1_700_000_000;

/** Writes a file. @param after its mtime, in seconds after the boot */
function write(file: string, text: string, after: number): void {
  fs.writeFileSync(file, text);
  fs.utimesSync(file, booted + after, booted + after);
}

function inodeOf(file: string): string {
  const { dev, ino } = fs.statSync(file);
  return `${dev}:${ino}`;
}

/** A record that fits every file which begins with the text. */
function forged(log: string, text: string, more: Partial<FileRecord> = {}): FileRecord {
  const bytes = Buffer.from(text);
  const hashes = hashesOf({ head: bytes.subarray(0, 1024), before: bytes.subarray(-256) });
  const { length } = bytes;
  return { path: log, inode: '1:1', offset: length, bytes: length, modified: 9e14, ...hashes, ...more };
}

/** Returns the lines that are read of a log, and the lost bytes, with records of an earlier boot. */
function linesOf(log: string, records: readonly FileRecord[], more: Partial<LogFilesOptions> = {}) {
  const files = logFiles([log], { trusted: false, booted: () => booted * 1000, records, ...more });
  const lines: string[] = [];
  for (let now = 0; now < 60_000; now += 6000) lines.push(...forwardedLines(files, now));
  return { lines, lost: files.state().map(({ lostBytes }) => lostBytes) };
}

const [first, second] = ['type=A early record of this boot', 'type=B later record of this boot'];
const all = { lines: [first, second], lost: [0] };
/** `isOfThisBoot`: on an overlay, of files that are not on the sealed disk, and on a data disk. */
const fileSystems = { 'an overlay': () => true, 'a data disk': () => undefined };

for (const [where, isOfThisBoot] of Object.entries(fileSystems)) {
  for (const [title, records] of Object.entries<(log: string) => FileRecord[]>({
    'the beginning of a line': (log) => [forged(log, 'type=')],
    'the beginning of a line, with the inode of the log': (log) => [
      forged(log, 'type=', { inode: inodeOf(log) }),
    ],
    'the beginning of a line, with the inode of the rotated file': (log) => [
      forged(log, 'type=', { inode: inodeOf(`${log}.1`) }),
    ],
    'the files in the wrong order': (log) => [
      forged(log, second.slice(0, 6)),
      forged(log, first.slice(0, 6), { modified: 0 }),
    ],
  }))
    earlierIn(`a forged record hides nothing of this boot on ${where}: ${title}`, (directory) => {
      const log = `${directory}/audit.log`;
      write(`${log}.1`, `${first}\n`, 100);
      write(log, `${second}\n`, 200);
      const read = linesOf(log, records(log), { isOfThisBoot });
      assert.equal([...read.lines].sort(), all.lines);
      assert.equal(read.lost, all.lost);
    });

  earlierIn(`a forged time of many rotated files hides nothing of this boot on ${where}`, (directory) => {
    const log = `${directory}/audit.log`;
    for (let number = 2; number < 30; number += 1) write(`${log}.${number}`, `old ${number}\n`, -number);
    write(`${log}.1`, `${first}\n`, 100);
    write(log, `${second}\n`, 200);
    const { lines } = linesOf(log, [forged(log, 'type=', { modified: 0 })], { isOfThisBoot });
    assert.equal(lines.slice(-2), all.lines);
  });
}

earlierIn('on an overlay, no forged record hides a line whose text the earlier boot knew', (directory) => {
  const log = `${directory}/app.log`;
  write(log, 'sealed\nstarted\nready\n', 100);
  const records = [forged(log, 'sealed\nstarted\n', { inode: inodeOf(log) })];
  const more = { firstOffset: () => 7, isOfThisBoot: () => true };
  assert.equal(linesOf(log, records, more), { lines: ['started', 'ready'], lost: [0] });
});

earlierIn(
  'on an overlay, a file as it is on the sealed disk is continued where it was forwarded',
  (directory) => {
    const log = `${directory}/app.log`;
    write(`${log}.1`, 'one\ntwo\n', -100);
    write(log, 'three\n', 100);
    const isOfThisBoot = (_: string, { file }: { file: string }) => file === log;
    const records = [forged(log, 'one\n', { modified: (booted - 200) * 1000 })];
    assert.equal(linesOf(log, records, { isOfThisBoot }).lines, ['two', 'three']);
  },
);

/** Forwards a log on a data disk in an earlier boot. @returns its records, with another number of the device */
function forwardedEarlier(log: string): FileRecord[] {
  const files = logFiles([log]);
  forwardedLines(files);
  files.complete();
  forwardedLines(files, 10_000);
  const records = files.records();
  for (const source of files.sources) source.close();
  return records.map((record) => ({ ...record, inode: record.inode.replace(/^\d+/, '77') }));
}

/** What this boot does to a log of which "one" and "two" were forwarded, and the lines that are read then. */
const continued: Record<string, [string, (log: string) => void, string[]]> = {
  'a line is added': ['one\ntwo\n', (log) => write(log, 'one\ntwo\nthree\n', 100), ['three']],
  'nothing is added': ['one\ntwo\n', () => undefined, []],
  'the log is rotated, and an older file with the same beginning is left alone': [
    'one\ntwo\n',
    (log) => {
      fs.renameSync(`${log}.1`, `${log}.2`);
      fs.renameSync(log, `${log}.1`);
      write(log, 'three\n', 100);
    },
    ['three'],
  ],
  'the log is copied and truncated: the copy is a new file, so its lines are repeated': [
    'one\ntwo\n',
    (log) => {
      fs.renameSync(`${log}.1`, `${log}.2`);
      write(`${log}.1`, 'one\ntwo\nthree\n', 100);
      write(log, 'four\n', 200);
    },
    ['one', 'two', 'three', 'four'],
  ],
  'an incomplete line that was forwarded is completed: it is repeated': [
    'one\ntwo',
    (log) => write(log, 'one\ntwo continued\n', 100),
    ['two continued'],
  ],
};

for (const [title, [text, change, expected]] of Object.entries(continued))
  earlierIn(`a log on a data disk is continued: ${title}`, (directory) => {
    const log = `${directory}/app.log`;
    write(`${log}.1`, 'one\n', -900);
    write(log, text, -100);
    const records = forwardedEarlier(log);
    change(log);
    assert.equal(linesOf(log, records).lines, expected);
  });

earlierIn('only the newest records of a log are considered, also if there are thousands', (directory) => {
  const log = `${directory}/app.log`;
  write(log, 'one\ntwo\n', -100);
  const records = (unknown: number) => [
    forged(log, 'one\n', { inode: inodeOf(log) }),
    ...Array.from({ length: unknown }, () => forged(log, 'unknown\n')),
  ];
  assert.equal(linesOf(log, records(31)).lines, ['two']);
  assert.equal(linesOf(log, records(5000)).lines, ['one', 'two'], 'the oldest record is not used');
});

earlierIn('a record is marked until its log is found', (directory) => {
  const log = `${directory}/app.log`;
  const record: FileRecord = { ...forged(log, 'one\n'), isEarlier: true };
  const files = logFiles([log], { trusted: false, records: [record] });
  assert.equal([forwardedLines(files), files.records()], [[], [{ ...record, offset: 0, bytes: 0 }]]);
  write(log, 'one\ntwo\n', 100);
  assert.equal(forwardedLines(files, 6000), ['one', 'two']);
  assert.equal(
    files.records().map(({ offset, isEarlier }) => [offset, isEarlier]),
    [[8, undefined]],
  );
});

earlier.run();
