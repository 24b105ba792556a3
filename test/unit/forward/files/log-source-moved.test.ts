import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LogSource, type LogSourceOptions } from '../../../../agent/forward/files/log-source.ts';
import { forEachLine } from '../../../../agent/forward/encode/file-lines.ts';
import { inDirectories } from '../../../harness/temporary.ts';

/** Tests that no line is lost if the log is rotated between the listing of its files and the opening of one of them. */
const moved = suite('a log that is rotated while its files are opened');
const movedIn = inDirectories(moved);

/** A log of which each file has one line, with the number of the file. */
class NumberedLog {
  readonly file: string;
  #count = 0;

  constructor(directory: string) {
    this.file = `${directory}/app.log`;
    this.rotate();
  }

  /** Renames the files as auditd(8) does, and creates the next one. */
  rotate(): void {
    for (let number = this.#count; number > 0; number -= 1) {
      const from = number === 1 ? this.file : `${this.file}.${number - 1}`;
      fs.renameSync(from, `${this.file}.${number}`);
    }
    this.#count += 1;
    fs.writeFileSync(this.file, `line ${this.#count}\n`);
    fs.utimesSync(this.file, this.#count, this.#count);
  }
}

/** @param onOpen called when a file has been opened, with the number of files that were opened before */
function source(log: NumberedLog, onOpen: (count: number) => void, more: Partial<LogSourceOptions> = {}) {
  let opened = 0;
  return new LogSource({
    ...{ named: true, path: log.file, audit: false, firstOffset: () => 0 },
    ...{ records: [], trusted: true, booted: () => 0 },
    nextId: () => {
      onOpen(opened);
      return (opened += 1);
    },
    lost: (text) => {
      throw new Error(text);
    },
    ...more,
  });
}

/** Reads and acknowledges all lines. */
function linesOf(from: LogSource): string[] {
  const lines: string[] = [];
  for (;;) {
    const chunk = from.next(0, false);
    if (chunk === undefined) return lines;
    forEachLine(chunk, (line) => lines.push(line));
    from.acknowledge(chunk.id, chunk.offset + chunk.text.length);
  }
}

movedIn('as it is opened for the first time', (directory) => {
  const log = new NumberedLog(directory);
  let rotated = false;
  const firstOffset = () => {
    if (!rotated) log.rotate();
    rotated = true;
    return 0;
  };
  assert.equal(linesOf(source(log, () => undefined, { firstOffset })), ['line 1', 'line 2']);
});

movedIn('as the files are opened that a checkpoint names', (directory) => {
  const log = new NumberedLog(directory);
  const before = source(log, () => undefined);
  assert.equal(linesOf(before), ['line 1']);
  log.rotate();
  assert.equal(linesOf(before), ['line 2']);
  const records = before.records();
  assert.is(records.length, 2);
  before.close();
  log.rotate();
  const after = source(log, (count) => count === 0 && log.rotate(), { records });
  assert.equal(linesOf(after), ['line 3', 'line 4']);
});

movedIn('as the files are opened that follow the last one', (directory) => {
  const log = new NumberedLog(directory);
  const from = source(log, (count) => count === 1 && log.rotate());
  assert.equal(linesOf(from), ['line 1']);
  for (let count = 0; count < 2; count += 1) log.rotate();
  assert.equal(linesOf(from), ['line 2', 'line 3', 'line 4']);
});

movedIn('a file that is removed instead is counted as lost', (directory) => {
  const log = new NumberedLog(directory);
  const lost: string[] = [];
  const removeSecond = (count: number) => {
    if (count === 1) fs.rmSync(`${log.file}.1`);
  };
  const from = source(log, removeSecond, { lost: (text) => lost.push(text) });
  assert.equal(linesOf(from), ['line 1']);
  for (let count = 0; count < 3; count += 1) log.rotate();
  assert.equal(linesOf(from), ['line 2', 'line 4']);
  assert.equal(lost, [`7 bytes of ${log.file} are lost, because it was removed before it could be read`]);
  assert.is(from.lostBytes, 7);
});

movedIn('each time: the reason is reported, and the next attempt continues', (directory) => {
  const log = new NumberedLog(directory);
  let rotations = 0;
  const firstOffset = () => {
    if ((rotations += 1) <= 5) log.rotate();
    return 0;
  };
  const from = source(log, () => undefined, { firstOffset });
  assert.equal(linesOf(from), []);
  assert.match(from.error, /app\.log\S*: it was renamed or removed while it was being opened$/);
  assert.is(linesOf(from).length, 6);
  assert.is(from.error, '');
});

moved.run();
