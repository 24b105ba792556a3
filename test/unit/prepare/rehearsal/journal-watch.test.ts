import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { JournalWatch } from '../../../../agent/prepare/rehearsal/journal-watch.ts';
import type { StartPosition, StreamEnd, followJournal } from '../../../../agent/system/journalctl.ts';

const entry = (fields: Record<string, string>, cursor = 's=1;i=1') =>
  `__CURSOR=${cursor}\n__REALTIME_TIMESTAMP=1\n${Object.entries(fields)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')}\n`;
const refused = "cannot touch '/opt/a': Read-only file system";

/** Stands in for journalctl. */
function fakeJournal() {
  const calls: { start: StartPosition; boot: string | undefined; fast: boolean }[] = [];
  const none = () => undefined;
  const stream = { data: none as (chunk: Buffer) => void, end: none as (end: StreamEnd) => void, stopped: 0 };
  const follow: typeof followJournal = ({ start, boot, fast }, onData, onEnd) => {
    calls.push({ start, boot, fast });
    Object.assign(stream, { data: onData, end: onEnd });
    const stop = () => void (stream.stopped += 1);
    return { program: 'journalctl', inBlocks: false, pause: none, resume: none, stop };
  };
  const write = (text: string) => stream.data(Buffer.from(text, 'latin1'));
  const watch = new JournalWatch(follow);
  const units = () => watch.refusals.map(({ unit }) => unit);
  return { watch, calls, stream, write, units };
}

const journal = suite('the watch of the journal');
journal('a refused write, with its unit and path', () => {
  const { watch, write } = fakeJournal();
  watch.follow();
  write(entry({ _SYSTEMD_UNIT: 'agent.service', SYSLOG_IDENTIFIER: 'sh', MESSAGE: refused }));
  write(entry({ _SYSTEMD_UNIT: 'agent.service', MESSAGE: 'started' }, 's=1;i=2'));
  write(entry({ _SYSTEMD_UNIT: 'a.service', MESSAGE: 'x' }, 's=1;i=3'));
  watch.stop();
  assert.equal(watch.refusals, [{ unit: 'agent.service', path: '/opt/a', message: refused }]);
  assert.equal(watch.lastMessages('agent.service'), [refused, 'started']);
  assert.equal(watch.lastMessages('none.service'), []);
});

journal(
  'a message with control characters, which journalctl writes in the binary form, keeps its unit',
  () => {
    const { watch, write, units } = fakeJournal();
    watch.follow();
    const message = `\x1b[1m${refused}`;
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(message.length));
    const binary = `MESSAGE\n${size.toString('latin1')}${message}\n\n`;
    write(
      `${entry({ _SYSTEMD_UNIT: 'init.scope', UNIT: 'a.mount', SYSLOG_IDENTIFIER: 'systemd' }).slice(0, -1)}${binary}`,
    );
    assert.equal(units(), ['a.mount']);
    watch.stop();
  },
);

const byInit = { UNIT: 'a.mount', SYSLOG_IDENTIFIER: 'systemd' };
for (const [title, fields, unit] of [
  ['systemd names the unit', { _SYSTEMD_UNIT: 'init.scope', ...byInit }, 'a.mount'],
  ['systemd 219 names the unit', byInit, 'a.mount'],
  ['another program cannot', { _SYSTEMD_UNIT: 'evil.service', UNIT: 'sshd.service' }, 'evil.service'],
  ['without a unit', { SYSLOG_IDENTIFIER: 'agent' }, 'agent'],
  ['the kernel', { _TRANSPORT: 'kernel' }, 'kernel'],
] as const) {
  journal(`the unit: ${title}`, () => {
    const { watch, units } = fakeJournal();
    watch.add(entry({ ...fields, MESSAGE: refused }), undefined);
    assert.equal(units(), [unit]);
  });
}
journal('the probes of this package are no refused writes', () => {
  const { watch } = fakeJournal();
  watch.add(entry({ SYSLOG_IDENTIFIER: 'immutafs-agent', MESSAGE: refused }), undefined);
  watch.add(entry({ _SYSTEMD_UNIT: 'immutafs-rehearsal.service', MESSAGE: refused }), undefined);
  assert.equal(watch.refusals, []);
});
journal('a field of an earlier line is not taken for another one', () => {
  const { watch } = fakeJournal();
  watch.add(
    entry({ X_SYSTEMD_UNIT: 'evil', _SYSTEMD_UNIT: 'a.service', XMESSAGE: 'no', MESSAGE: refused }),
    undefined,
  );
  assert.equal(
    watch.refusals.map(({ unit, message }) => [unit, message]),
    [['a.service', refused]],
  );
});
journal('memory is limited, and what is left out is counted', () => {
  const { watch } = fakeJournal();
  const long = `/${'x'.repeat(5000)}: Read-only file system`;
  watch.add(entry({ _SYSTEMD_UNIT: 'a.service' }), long);
  for (let number = 0; number < 1200; number++)
    watch.add(entry({ _SYSTEMD_UNIT: `${number}.service` }), refused);
  assert.is(watch.refusals.length, 1000);
  assert.is(watch.omitted, 200);
  assert.equal(watch.lastMessages('a.service'), [], 'the messages of the oldest units are dropped');
  assert.equal(watch.lastMessages('1199.service'), [refused]);
  assert.ok(watch.refusals.every(({ message }) => message.length <= 300));
});
journal('journalctl ends: it is started again after the last entry, which is not counted twice', async () => {
  const { watch, write, stream, calls, units } = fakeJournal();
  const realTimeout = globalThis.setTimeout;
  globalThis.setTimeout = ((action: () => void) => realTimeout(action, 1)) as typeof setTimeout;
  try {
    watch.follow();
    write(entry({ MESSAGE: refused, SYSLOG_IDENTIFIER: 'a' }, 's=1;i=7'));
    stream.end({ killed: true, complete: false, reason: 'SIGKILL' });
    assert.is(watch.problem, 'SIGKILL');
    await new Promise((resolve) => realTimeout(resolve, 30));
    assert.equal(
      calls.map(({ start, fast }) => [start, fast]),
      [
        [{ at: 'boot' }, true],
        [{ at: 'cursor', cursor: 's=1;i=7' }, false],
      ],
    );
    write(entry({ MESSAGE: refused, SYSLOG_IDENTIFIER: 'a' }, 's=1;i=7'));
    assert.is(watch.problem, 'SIGKILL', 'nothing new was read');
    write(entry({ MESSAGE: refused, SYSLOG_IDENTIFIER: 'b' }, 's=1;i=8'));
  } finally {
    globalThis.setTimeout = realTimeout;
    watch.stop();
  }
  assert.is(watch.problem, '');
  assert.equal(units(), ['a', 'b']);
});
journal('the entries of one boot', async () => {
  const { watch, write, stream, calls } = fakeJournal();
  const done = watch.readBoot('abc', 10_000);
  write(entry({ MESSAGE: refused, SYSLOG_IDENTIFIER: 'a' }));
  stream.end({ killed: false, complete: true, reason: '' });
  await done;
  assert.equal(calls, [{ start: { at: 'head' }, boot: 'abc', fast: true }]);
  assert.is(watch.problem, '');
  assert.is(watch.refusals.length, 1);
});
journal('the entries of one boot: a journalctl that hangs is stopped', async () => {
  const { watch, stream } = fakeJournal();
  await watch.readBoot('abc', 10);
  assert.is(stream.stopped, 1);
  assert.match(watch.problem, /too long/);
});
journal.run();
