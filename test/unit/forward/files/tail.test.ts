import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type TailRecord, hasContent } from '../../../../agent/forward/files/content.ts';
import { Tail } from '../../../../agent/forward/files/tail.ts';
import type { LineChunk } from '../../../../agent/forward/stages.ts';
import { type LogFile, openLogFile } from '../../../../agent/system/log-file.ts';
import { inTemporaryDirectory } from '../../../harness/temporary.ts';

const tails = suite('the tail of a log file');

const mebibyte = 1024 * 1024;

/** Calls `action` with a file, and a function that reads all chunks at a time in milliseconds. */
function withTail(
  text: string,
  action: (read: (now: number, final?: boolean) => LineChunk[], file: string, tail: Tail) => void,
  audit = true,
): void {
  inTemporaryDirectory((directory) => {
    const file = path.join(directory, 'app.log');
    fs.writeFileSync(file, text, 'latin1');
    const tail = new Tail({ id: 1, path: file, audit }, openLogFile(file), 0);
    const read = (now: number, final = false) => {
      const chunks: LineChunk[] = [];
      for (;;) {
        const next = tail.next(now, final);
        if (next === undefined) return chunks;
        if (typeof next === 'string' || !('text' in next)) throw new Error(JSON.stringify(next));
        chunks.push(next);
      }
    };
    try {
      action(read, file, tail);
    } finally {
      tail.close();
    }
  });
}

/** Whether a file has the content that a record describes. */
function isAt(file: string, record: TailRecord): boolean {
  const opened = openLogFile(file);
  try {
    return hasContent(opened, record);
  } finally {
    opened.close();
  }
}

const textsOf = (chunks: LineChunk[]) => chunks.map(({ text }) => text);

tails('a line of more than 1 MiB arrives in parts, and nothing of the lines around it is lost', () => {
  let long = '';
  for (let n = 0; long.length < 2.5 * mebibyte; n += 1) long += `${n},`;
  const whole = `before\n${long}\nafter\n`;
  withTail(whole, (read) => {
    const chunks = read(0);
    const parts = chunks.filter(({ terminated }) => !terminated);
    assert.is(textsOf(chunks).join(''), whole);
    assert.equal(
      parts.map(({ text }) => text.length),
      [mebibyte, mebibyte],
    );
    let offset = 0;
    for (const chunk of chunks) {
      assert.is(chunk.offset, offset);
      assert.is(chunk.text.endsWith('\n'), chunk.terminated);
      offset += chunk.text.length;
    }
  });
});

tails('a line of exactly 1 MiB, with its line feed, arrives in one piece', () => {
  const line = `${'x'.repeat(mebibyte - 1)}\n`;
  withTail(`${line}b\n`, (read) => assert.equal(textsOf(read(0)), [line, 'b\n']));
});

tails('every byte value arrives unchanged', () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('');
  withTail(`${bytes}\n`, (read) => assert.is(textsOf(read(0)).join(''), `${bytes}\n`));
});

tails('an incomplete last line arrives after 5 s without a change, and its rest as a line of its own', () => {
  withTail('a\nhal', (read, file, tail) => {
    assert.equal(textsOf(read(0)), ['a\n']);
    assert.equal(read(4000), []);
    assert.ok(tail.holding);
    fs.appendFileSync(file, 'f of');
    assert.equal(read(4500), []);
    assert.equal(read(9499), []);
    const [half] = read(9500);
    assert.equal([half?.text, half?.terminated, half?.offset], ['half of', false, 2]);
    assert.is(tail.holding, false);
    fs.appendFileSync(file, ' a line\nb\n');
    const [rest] = read(9600);
    assert.equal([rest?.text, rest?.terminated, rest?.offset], [' a line\nb\n', true, 9]);
  });
});

tails('an incomplete last line arrives at once when nothing will be written any more', () => {
  withTail('a\nhalf', (read) => {
    const chunks = read(0, true);
    assert.equal(textsOf(chunks), ['a\n', 'half']);
    assert.equal(chunks.at(-1)?.terminated, false);
  });
});

const record = (serial: number, rest: string) => `type=X msg=audit(1700000000.123:${serial}): ${rest}\n`;

tails('the records of an audit event are held together until the file is unchanged for 100 ms', () => {
  withTail(record(1, 'a') + record(2, 'a'), (read, file, tail) => {
    assert.equal(textsOf(read(0)), [record(1, 'a')]);
    assert.ok(tail.holding);
    assert.equal(read(99), []);
    fs.appendFileSync(file, record(2, 'b'));
    assert.equal(read(100), []);
    assert.equal(read(199), []);
    assert.equal(textsOf(read(200)), [record(2, 'a') + record(2, 'b')]);
  });
});

tails('a record of another event releases the event before', () => {
  withTail(record(1, 'a') + record(1, 'b'), (read, file) => {
    assert.equal(read(0), []);
    fs.appendFileSync(file, record(2, 'a'));
    assert.equal(textsOf(read(10)), [record(1, 'a') + record(1, 'b')]);
  });
});

tails('lines of other programs are not held', () => {
  withTail('a\nb\n', (read) => assert.equal(textsOf(read(0)), ['a\nb\n']));
});

tails('after a rewind, what was not acknowledged arrives again', () => {
  withTail('a\nb\nc\n', (read, file, tail) => {
    read(0);
    tail.acknowledge(2);
    tail.rewind();
    fs.appendFileSync(file, 'd\n');
    assert.equal(textsOf(read(1)), ['b\nc\nd\n']);
  });
});

for (const [title, change] of Object.entries<(file: string) => void>({
  'a file that became shorter': (file) => fs.truncateSync(file, 2),
  'other content of the same size': (file) => fs.writeFileSync(file, 'x\ny\n'),
  'longer other content': (file) => fs.writeFileSync(file, 'x\ny\nz\nz\n'),
}))
  tails(`${title} is recognised as truncated`, () => {
    withTail('a\nb\n', (read, file, tail) => {
      read(0);
      change(file);
      fs.utimesSync(file, 2_000_000_000, 2_000_000_000);
      assert.is(tail.next(1, false), 'truncated');
    });
  });

tails('a record describes the content up to the last acknowledged line', () => {
  withTail('a\nb\n', (read, file, tail) => {
    read(0);
    tail.acknowledge(2);
    const record = tail.record();
    assert.equal([record.offset, record.bytes], [2, 4]);
    assert.ok(isAt(file, record));
    fs.writeFileSync(file, 'x\nb\n');
    assert.is(isAt(file, record), false);
  });
});

tails('a file that shows less than its size, as on overlays before Linux 4.19, is stale, not held', () => {
  let bytes = 4;
  const text = Buffer.from('a\nb\n');
  const file: LogFile = {
    stat: () => ({ inode: '1:2', bytes, allocated: bytes, modified: bytes, isFile: true }),
    read: (buffer, offset) => text.copy(buffer, 0, Math.min(offset, text.length)),
    close: () => undefined,
  };
  const tail = new Tail({ id: 1, path: '/app.log', audit: true }, file, 0);
  const next = tail.next(0, false);
  assert.is(typeof next === 'object' && 'text' in next ? next.text : next, 'a\nb\n');
  bytes = 9;
  assert.is(tail.next(1, false), 'stale');
  assert.is(tail.isStale, true);
  assert.ok(hasContent(file, tail.recordOfRead()));
});

tails('in a log that is not that of auditd, lines that look like audit records are not held', () => {
  const check = (read: (now: number) => LineChunk[]) => assert.is(read(0)[0]?.audit, false);
  withTail('type=X msg=audit(1700000000.123:1): a\n', check, false);
});

tails.run();
