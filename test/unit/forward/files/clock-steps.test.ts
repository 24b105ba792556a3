import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogFilesOptions } from '../../../../agent/forward/files/log-files.ts';
import { forwardedLines, logFiles } from '../../../harness/log-sources.ts';
import { inDirectories } from '../../../harness/temporary.ts';

/** Tests that each rotated file is read once, whatever the clock did between the rotations. */
const steps = suite('log files that are rotated while the clock is set');
const stepsIn = inDirectories(steps);

const start = 1_700_000_000;

/** A log in a directory, with a clock that can be set, and a reader that has a server only at times. */
class Rotations {
  readonly log: string;
  readonly lost: string[] = [];
  /** The clock, in seconds. */
  time = start;
  readonly #options: Partial<LogFilesOptions>;
  #files: ReturnType<typeof logFiles>;
  #now = 0;

  constructor(directory: string, options: Partial<LogFilesOptions> = {}) {
    this.#options = options;
    this.log = path.join(directory, 'app.log');
    this.#files = logFiles([this.log], options);
  }

  /** Puts a file there. @param time its mtime, in seconds */
  put(file: string, text: string, time: number): void {
    fs.writeFileSync(file, text);
    fs.utimesSync(file, time, time);
  }

  append(text: string): void {
    this.time += 10;
    fs.appendFileSync(this.log, text);
    fs.utimesSync(this.log, this.time, this.time);
  }

  rename(): void {
    this.#shift();
    fs.renameSync(this.log, `${this.log}.1`);
    this.append('');
  }

  copyTruncate(): void {
    this.#shift();
    fs.copyFileSync(this.log, `${this.log}.1`);
    fs.utimesSync(`${this.log}.1`, this.time, this.time);
    fs.truncateSync(this.log);
    this.append('');
  }

  /** Connects for half a minute. @returns what is forwarded */
  connect(): string[] {
    const lines: string[] = [];
    this.#files.attach({ lost: (text) => this.lost.push(text) });
    for (const end = this.#now + 36_000; this.#now < end; this.#now += 6000) {
      lines.push(...forwardedLines(this.#files, this.#now));
      this.#files.observe();
    }
    this.#files.attach(undefined);
    return lines;
  }

  restart(): void {
    const records = this.#files.records();
    for (const source of this.#files.sources) source.close();
    this.#files = logFiles([this.log], { ...this.#options, records });
  }

  #shift(): void {
    for (let number = 30; number > 0; number -= 1)
      if (fs.existsSync(`${this.log}.${number}`))
        fs.renameSync(`${this.log}.${number}`, `${this.log}.${number + 1}`);
  }
}

for (const back of [0, 3600])
  for (const way of ['rename', 'copyTruncate'] as const) {
    const when = `${way}, the clock is set back by ${back} s`;

    stepsIn(`without a server, no file in between is skipped: ${when}`, (directory) => {
      const log = new Rotations(directory);
      log.append('one\n');
      assert.equal(log.connect(), ['one']);
      log.append('two\n');
      log[way]();
      log.time -= back;
      log.append('three\n');
      log[way]();
      log.append('four\n');
      assert.equal([log.connect(), log.lost], [['two', 'three', 'four'], []]);
      log[way]();
      log.append('five\n');
      assert.equal([log.connect(), log.lost], [['five'], []]);
    });

    stepsIn(`more files than are open at a time: ${when}`, (directory) => {
      const log = new Rotations(directory);
      log.append('one\n');
      assert.equal(log.connect(), ['one']);
      log.time -= back;
      const expected: string[] = [];
      for (let number = 100; number < 120; number += 1) {
        log[way]();
        log.append(`${number}\n`);
        expected.push(String(number));
      }
      assert.equal([log.connect(), log.lost], [expected, []]);
      assert.equal(log.connect(), []);
    });

    stepsIn(`a log that was empty is filled, rotated and filled: ${when}`, (directory) => {
      const log = new Rotations(directory);
      log.append('');
      assert.equal(log.connect(), []);
      log.time -= back;
      log.append('one\n');
      log[way]();
      log.append('two\n');
      assert.equal([log.connect(), log.lost], [['one', 'two'], []]);
    });
  }

for (const back of [0, 3600])
  stepsIn(
    `while the forwarder is stopped, no file is skipped: the clock is set back by ${back} s`,
    (directory) => {
      const log = new Rotations(directory);
      for (const text of ['zero\n', 'one\n']) {
        if (text === 'one\n') log.rename();
        log.append(text);
      }
      assert.equal(log.connect(), ['zero', 'one']);
      log.rename();
      log.time -= back;
      log.append('two\n');
      log.rename();
      log.append('three\n');
      log.restart();
      assert.equal([log.connect(), log.lost], [['two', 'three'], []]);
    },
  );

for (const [title, time] of [
  ['newer', start - 999],
  ['older', start - 1001],
] as const)
  stepsIn(
    `an empty log and a ${title} rotated file of an earlier boot: only new lines are read`,
    (directory) => {
      const log = new Rotations(directory, { booted: () => start * 1000 });
      log.put(log.log, '', start - 1000);
      log.put(`${log.log}.1`, 'old\n', time);
      assert.equal(log.connect(), []);
      log.append('new\n');
      assert.equal(log.connect(), ['new']);
      log.copyTruncate();
      log.append('newer\n');
      assert.equal([log.connect(), log.lost], [['newer'], []]);
    },
  );

stepsIn('an empty log and a rotated file of an earlier boot: a copy of copytruncate is read', (directory) => {
  const log = new Rotations(directory, { booted: () => start * 1000 });
  log.put(log.log, '', start - 1000);
  log.put(`${log.log}.1`, 'old\n', start - 999);
  assert.equal(log.connect(), []);
  log.append('new\n');
  log.copyTruncate();
  log.append('newer\n');
  assert.equal([log.connect(), log.lost], [['new', 'newer'], []]);
});

steps.run();
