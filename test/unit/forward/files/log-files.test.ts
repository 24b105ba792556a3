import fc from 'fast-check';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LogFiles } from '../../../../agent/forward/files/log-files.ts';
import { forEachLine } from '../../../../agent/forward/encode/file-lines.ts';
import { filePosition } from '../../../../agent/forward/stages.ts';

/** A log file with a program that writes to it, and a reader that may be killed at any time. */
class World {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'log-files-'));
  readonly log = path.join(this.directory, 'app.log');
  readonly written: string[] = [];
  readonly received: string[] = [];
  readonly lost: string[] = [];
  /** What was received and not acknowledged: positions. */
  unacknowledged: string[] = [];
  /** How often lines may have been received again. */
  repeats = 0;
  files = this.open([]);
  #time = 1_700_000_000;
  #now = 0;
  #partial = '';
  #hasHole = false;

  open(records: ReturnType<LogFiles['records']>, patterns = [this.log]): LogFiles {
    const files = new LogFiles({
      ...{ patterns, records, auditFile: '', trusted: true, booted: () => 0, firstOffset: () => 0 },
      trouble: (reason) => assert.unreachable(reason),
    });
    files.attach({ lost: (text) => this.lost.push(text) });
    return files;
  }

  write(text: string): void {
    fs.appendFileSync(this.log, text, 'latin1');
    this.#touch(this.log);
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    this.written.push(...lines);
  }

  /** logrotate(8) without copytruncate. */
  rename(create = true): void {
    if (!fs.existsSync(this.log)) return;
    this.#endLine();
    this.#shift();
    fs.renameSync(this.log, `${this.log}.1`);
    if (create) this.create();
  }

  create(): void {
    fs.writeFileSync(this.log, '', { flag: 'a' });
    this.#touch(this.log);
  }

  copyTruncate(): void {
    if (!fs.existsSync(this.log)) return;
    this.#endLine();
    this.#shift();
    fs.copyFileSync(this.log, `${this.log}.1`);
    this.#touch(`${this.log}.1`);
    fs.truncateSync(this.log);
    this.#touch(this.log);
  }

  /**
   * A program leaves a hole: it writes where it would have written before copytruncate. Once only, because a reader
   * that has read no text after a hole cannot distinguish the file from one that was copied, truncated and extended
   * again.
   */
  hole(bytes: number, text: string): void {
    if (!fs.existsSync(this.log) || this.#hasHole) return;
    this.#hasHole = true;
    this.#endLine();
    fs.truncateSync(this.log, fs.statSync(this.log).size + bytes);
    this.write(text);
  }

  /** Reads at most this number of chunks. */
  read(chunks: number): void {
    for (let count = 0; count < chunks; count += 1) {
      this.#now += 1;
      const chunk = this.files.next(this.#now);
      if (chunk === undefined) return;
      forEachLine(chunk, (line, _, end) => {
        this.received.push(line);
        this.unacknowledged.push(filePosition(chunk.id, end));
      });
    }
  }

  acknowledge(count: number): void {
    for (const position of this.unacknowledged.splice(0, count)) this.files.acknowledge(position);
  }

  /** The connection is lost. */
  reconnect(): void {
    this.repeats += this.unacknowledged.length;
    this.unacknowledged = [];
    this.files.attach({ lost: (text) => this.lost.push(text) });
  }

  /** The agent is killed, with the last acknowledgement saved. */
  crash(): void {
    this.repeats += this.unacknowledged.length;
    this.unacknowledged = [];
    this.files = this.open(
      JSON.parse(JSON.stringify(this.files.records())) as ReturnType<LogFiles['records']>,
    );
  }

  finish(): void {
    if (this.#partial !== '') this.write('\n');
    this.files.complete();
    // A hole is skipped when everything before it is acknowledged.
    for (let round = 0; round < 50; round += 1) {
      this.read(1000);
      this.acknowledge(Infinity);
    }
    fs.rmSync(this.directory, { recursive: true });
  }

  /** A line that is incomplete when its file is rotated ends there. */
  #endLine(): void {
    if (this.#partial !== '') this.written.push(this.#partial);
    this.#partial = '';
  }

  #shift(): void {
    for (let number = 8; number > 0; number -= 1) {
      const [from, to] = [`${this.log}.${number}`, `${this.log}.${number + 1}`];
      if (fs.existsSync(from)) fs.renameSync(from, to);
    }
  }

  #touch(file: string): void {
    this.#time += 1;
    fs.utimesSync(file, this.#time, this.#time);
  }
}

interface Step {
  /** What fast-check prints. */
  toString: () => string;
  run: (world: World) => void;
}

function step(name: string, run: (world: World) => void): Step {
  return { toString: () => name, run };
}

let serial = 0;
const line = fc.string({ maxLength: 20 }).map((text) => `${(serial += 1)} ${text.replaceAll('\n', ' ')}`);
const common: fc.Arbitrary<Step>[] = [
  fc
    .array(line, { maxLength: 4 })
    .map((lines) =>
      step(`write ${lines.length}`, (world) => world.write(lines.map((each) => `${each}\n`).join(''))),
    ),
  line.map((text) => step('write a part', (world) => world.write(text))),
  fc
    .tuple(fc.integer({ min: 8192, max: 20_000 }), line)
    .map(([bytes, text]) => step(`hole ${bytes}`, (world) => world.hole(bytes, `${text}\n`))),
  fc.nat(3).map((chunks) => step(`read ${chunks}`, (world) => world.read(chunks))),
  fc.nat(9).map((count) => step(`acknowledge ${count}`, (world) => world.acknowledge(count))),
  ...[
    step('end the line', (world) => world.write(`${(serial += 1)}\n`)),
    step('reconnect', (world) => world.reconnect()),
    step('crash', (world) => world.crash()),
  ].map((each) => fc.constant(each)),
];
const rotations = {
  rename: [
    step('rename', (world) => world.rename()),
    step('rename without create', (world) => world.rename(false)),
    step('create', (world) => world.create()),
  ],
  copytruncate: [step('copytruncate', (world) => world.copyTruncate())],
};

const model = suite('log files: whatever is written, rotated, read and killed');

for (const [rotation, ways] of Object.entries(rotations)) {
  const steps = fc.oneof(...common, ...ways.map((each) => fc.constant(each)));
  model(`${rotation}: every line arrives in order, repeated only after a lost acknowledgement`, () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 40 }), (history) => {
        const world = new World();
        world.create();
        for (const { run } of history) run(world);
        world.finish();
        assert.equal(firsts(world.received), firsts(world.written));
        assert.equal(world.lost, []);
        const repeated = world.received.length - world.written.length;
        assert.ok(repeated <= world.repeats, `${repeated} lines repeated, at most ${world.repeats} expected`);
      }),
      { numRuns: Number(process.env['RUNS'] ?? 400) },
    );
  });
}
model.run();

/** Returns each text at its first occurrence, except empty ones. */
function firsts(texts: string[]): string[] {
  return [...new Set(texts.filter((text) => text !== ''))];
}
