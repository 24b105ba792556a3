import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Checkpoint } from '../../../../agent/forward/pipeline/checkpoint.ts';
import { Quarantine } from '../../../../agent/forward/pipeline/quarantine.ts';
import { Session } from '../../../../agent/forward/pipeline/session.ts';
import type {
  Encoder,
  FileEvents,
  JournalEvents,
  OutgoingMessage,
  Reader,
  Transport,
  TransportEvents,
} from '../../../../agent/forward/stages.ts';
import { zeroCounts } from '../../../../agent/forward/status/status-writer.ts';
import { type LogEntry, item as itemAt } from '../../../../agent/lib/journal-export/entry.ts';

const session = suite('session');

class FakeReader implements Reader {
  readonly settled = true;
  readonly problem = '';
  paused = false;
  readonly start = () => void (this.paused = false);
  readonly resume = this.start;
  readonly pause = () => void (this.paused = true);
  readonly stop = this.pause;
}

/** Encodes an entry and a chunk as their text, and a notice in angle brackets. */
const encoder: Encoder = {
  encode: ({ text, cursor, run }, out) => void out.push({ text, cursor, run }),
  encodeLines: ({ id, offset, text }, out) =>
    void out.push({ text, cursor: `${id}:${offset + text.length}` }),
  encodeNotice: (text, out) => void out.push({ text: `<${text}>`, cursor: '' }),
};

/** Returns the bytes of an entry or a message, one character per byte. */
const contentOf = ({ text, run }: Pick<OutgoingMessage, 'text' | 'run'>) =>
  run?.bytes.toString('latin1') ?? text;

/** Starts a session whose server accepts everything. */
function begin(quarantine = new Quarantine()) {
  const counters = zeroCounts();
  const sent: OutgoingMessage[] = [];
  const [journal, files] = [new FakeReader(), new FakeReader()];
  const events: { journal?: JournalEvents; files?: FileEvents; transport?: TransportEvents } = {};
  const transport: Transport = {
    capacity: () => 1000,
    send: (messages) => void sent.push(...messages),
    listen: (given) => void (events.transport = given),
    close: () => Promise.resolve(),
    destroy: () => undefined,
  };
  const it = new Session({
    ...{ transport, encoder, counters, quarantine, trouble: () => undefined, acknowledged: () => undefined },
    ...{ window: 1000, sparse: false, queueBytes: 1000 },
    checkpoint: new Checkpoint('', { acknowledge: () => undefined, records: () => [] }, () => undefined),
    createReader: (_, given) => {
      events.journal = given;
      return journal;
    },
    createFileReader: (given) => {
      events.files = given;
      return files;
    },
  });
  const run = it.run.bind(it);
  const ended = run();
  let offset = 0;
  const line = (text: string) => {
    assert.is(files.paused, false, 'a reader that is paused emits no lines');
    events.files?.lines({ id: 257, path: '/a', inode: '1:1', offset, text, terminated: true, audit: false });
    offset += text.length;
  };
  return {
    ...{ it, counters, ended, line, files, texts: () => sent.map(contentOf) },
    acknowledge: (count: number) => events.transport?.acknowledged(count),
    take: (...items: LogEntry[]) => events.journal?.entries(items),
    restart: () => events.journal?.started(),
  };
}

const item = (kind: LogEntry['kind'], text: string) => itemAt(kind, `s=${text}`, text);

session('lines wait until a large entry ends, also within a batch', () => {
  const { take, line, texts } = begin();
  take(item('piece', 'a1'));
  line('one\n');
  assert.equal(texts(), ['a1']);
  take(item('piece', 'a2'), item('entry', 'a3'), item('entry', 'b'), item('piece', 'c1'));
  assert.equal(texts(), ['a1', 'a2', 'a3', 'one\n', 'b', 'c1']);
});

session('a stream of large entries whose batches end within one does not starve the log files', () => {
  const { it, take, line, files, texts } = begin();
  take(item('piece', '0a'));
  for (let n = 0; n < 3; n += 1) {
    line(`line ${n}\n`);
    assert.is(it.idle, false);
    assert.ok(files.paused, 'no more than one chunk is held in memory');
    take(item('entry', `${n}b`), item('piece', `${n + 1}a`));
  }
  assert.equal(texts(), ['0a', '0b', 'line 0\n', '1a', '1b', 'line 1\n', '2a', '2b', 'line 2\n', '3a']);
});

session('a reader that begins again ends the session within an entry, but not between two', async () => {
  const { take, restart, ended } = begin();
  restart();
  take(item('entry', 'a'));
  restart();
  take(item('piece', 'b1'));
  restart();
  assert.match((await ended)?.message ?? '', /interrupted within an entry/);
});

session('a notice is not sent within an entry', () => {
  const { it, take, texts } = begin();
  take(item('piece', 'a1'));
  it.notify('lost');
  take(item('piece', 'a2'));
  take(item('entry', 'a3'), item('piece', 'b1'));
  assert.equal(texts(), ['a1', 'a2', 'a3', '<lost>', 'b1']);
});

/** Returns a run, whose entries have the given sequence numbers. */
function runOf(from: number, to: number, field = 'A=b'): LogEntry {
  const cursor = (n: number) => `s=${'a'.repeat(32)};i=${n.toString(16)};b=${'b'.repeat(32)};m=1;t=1;x=${n}`;
  const text = Array.from({ length: to - from + 1 }, (_, n) => `__CURSOR=${cursor(from + n)}\n${field}\n\n`);
  return {
    ...{ ...item('entry', ''), cursor: cursor(to) },
    run: { first: cursor(from), count: to - from + 1, bytes: Buffer.from(text.join('')) },
  };
}

session('a run is sent as it is, and a gap before it is reported', () => {
  const { take, texts } = begin();
  const [first, second, third] = [runOf(1, 5), runOf(6, 9), runOf(12, 13)];
  take(first, second);
  take(third);
  assert.equal(texts(), [
    ...[contentOf(first), contentOf(second)],
    ...['<2 journal entries were deleted before they could be forwarded>', contentOf(third)],
  ]);
});

session('every report of suppressed messages in a run is counted', () => {
  const { take, acknowledge, counters } = begin();
  take(
    runOf(
      ...([1, 3] as const),
      'MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\n_TRANSPORT=driver\nMESSAGE=Suppressed 7 messages from a',
    ),
  );
  acknowledge(3);
  assert.is(counters.suppressed, 21);
  assert.is(counters.acknowledged, 3);
});

session('the end of a large entry is no report of suppressed messages, even if the entry is skipped', () => {
  const report =
    '__CURSOR=c\nMESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\n_TRANSPORT=driver\nMESSAGE=Suppressed 7 messages from a';
  for (const refused of [false, true]) {
    const quarantine = new Quarantine();
    const { take, acknowledge, counters } = begin(quarantine);
    if (refused) quarantine.add('s=large');
    const end = { ...item('entry', `${report}\n\n`), cursor: 's=large' };
    take({ ...item('piece', 'a'), cursor: 's=large' }, end, { ...end, cursor: 's=genuine' });
    acknowledge(refused ? 2 : 3);
    assert.is(counters.suppressed, 7);
  }
});

session('after a refusal, the entries of a run are sent one by one, and the refused one is skipped', () => {
  const quarantine = new Quarantine();
  const { take, texts, acknowledge, counters } = begin(quarantine);
  const run = runOf(1, 4);
  quarantine.refused(Array<string>(4).fill(run.cursor));
  quarantine.add(runOf(2, 2).cursor);
  take(run);
  for (let n = 0; n < 4; n += 1) acknowledge(1);
  const [one, , three, four] = [1, 2, 3, 4].map((n) => contentOf(runOf(n, n)));
  assert.equal(texts(), [
    one,
    `<The server refused the journal entry ${runOf(2, 2).cursor}; it was skipped>`,
    ...[three, four],
  ]);
  assert.is(counters.refused, 1);
});

session.run();
