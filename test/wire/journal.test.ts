// Protocols: relp
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import * as assert from 'uvu/assert';
import { parseCursor } from '../../agent/lib/journal-export/cursor.ts';
import { missingText } from '../../agent/forward/pipeline/session.ts';
import { configure, forwardState, saveCursor, savedCursor, startAgent, untilState } from './support/agent.ts';
import {
  bootId,
  exportEntry,
  journalField,
  logLines,
  numbered,
  rotate,
  startJournald,
  writeJournal,
} from './support/journal.ts';
import { fakeServer, relpServer } from './support/fake-server.ts';
import { peakMemory } from './support/program.ts';
import { sleep, until } from './support/until.ts';
import { startRelp, storedEntries, storedLines, storedMessages, storedTexts } from './support/rsyslog.ts';
import { wireSuite } from './support/wire-suite.ts';

const journal = await wireSuite(import.meta.filename, 'the journal');

journal.before.each(() => configure({ FORWARD: 'relp://127.0.0.1:2514' }));

const lines = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix} ${n}`);

async function forwardUntil(count: number): Promise<void> {
  const agent = startAgent();
  await until(`${count} entries`, () => storedEntries().length >= count);
  await agent.stop();
}

journal('the journal is vacuumed while forwarding lags: lost entries are counted and reported', async () => {
  await startRelp();
  const journald = await startJournald({ RuntimeMaxFileSize: '512K' });
  logLines(lines('before', 100));
  execFileSync('journalctl', ['--sync']);
  await forwardUntil(100);
  const acknowledged = parseCursor(savedCursor())?.sequence ?? 0;
  logLines(lines('gone', 3000));
  rotate();
  rotate('--vacuum-files=1');
  logLines(lines('after', 10));
  execFileSync('journalctl', ['--sync']);
  const options = ['-q', '-n', '+1', '-o', 'cat', '--show-cursor', '--output-fields=X'];
  const first = execFileSync('journalctl', options);
  const next = parseCursor(/-- cursor: (\S+)/.exec(first.toString())?.[1] ?? '')?.sequence ?? 0;
  const gone = next - acknowledged - 1;
  assert.ok(gone > 1000, `${gone} gone`);
  const agent = startAgent();
  await until('the last entry', () => storedTexts().includes('after 9'));
  await agent.stop();
  assert.is(forwardState()?.counts.lost, gone);
  const notices = storedMessages().filter(
    ({ app, text }) => app === 'immutafs-agent' && /^\d+ journal entries were /.test(text),
  );
  assert.equal(
    notices.map(({ text }) => text),
    [missingText(gone)],
  );
  await journald.stop();
});

journal(
  'no server while the journal is vacuumed: constant memory, each entry stored or counted',
  async () => {
    const server = await startRelp();
    const journald = await startJournald({ RuntimeMaxFileSize: '512K' });
    const agent = startAgent();
    const grow = async (prefix: string) => {
      logLines(lines(prefix, 3000));
      rotate();
      await sleep(300);
      const before = peakMemory(agent.pid, 'VmRSS');
      for (let n = 0; n < 3; n += 1) logLines(lines(`${prefix} more ${n}`, 3000));
      rotate();
      rotate('--vacuum-files=1');
      await sleep(800);
      const added = peakMemory(agent.pid, 'VmRSS') - before;
      assert.ok(added <= 10, `${added.toFixed(1)} MiB more`);
    };
    logLines(lines('before', 100));
    await until('the first', () => storedTexts().includes('before 99'));
    server.signal('SIGSTOP');
    await grow('hung');
    await server.kill();
    // The agent reads these entries again later, because no server acknowledges them.
    logLines(lines('read twice', 200));
    const silent = await fakeServer(
      2514,
      relpServer(() => undefined),
    );
    await until('more entries', () => silent.received > 20_000);
    silent.close();
    await untilState('waiting');
    await grow('away');
    logLines(lines('after', 10));
    await startRelp();
    await until('the last entry', () => storedTexts().includes('after 9'));
    await agent.stop();
    const stored = new Set(storedMessages().map(({ data }) => parseCursor(data['cursor'] ?? '')?.sequence));
    stored.delete(undefined);
    const numbers = [...stored].map(Number);
    const { lost } = forwardState()?.counts ?? { lost: 0 };
    assert.ok(lost > 3000, `${lost} lost`);
    const all = Math.max(...numbers) - Math.min(...numbers) + 1;
    // The killed server may have stored entries without acknowledging them, so they may also be counted as lost.
    const more = stored.size + lost - all;
    assert.ok(more >= 0 && more <= 1024, `${all} entries, ${stored.size} stored, ${lost} lost`);
    await journald.stop();
  },
);

journal('journald is killed, starts again and flushes to /var: no entry is lost or repeated', async () => {
  await startRelp();
  fs.mkdirSync('/var/log/journal');
  fs.rmSync('/run/systemd/journal', { recursive: true, force: true });
  let journald = await startJournald({ Storage: 'auto' });
  const agent = startAgent();
  logLines(lines('first', 50));
  await until('first', () => storedTexts().includes('first 49'));
  await journald.kill();
  journald = await startJournald({ Storage: 'auto' });
  logLines(lines('second', 50));
  await until('second', () => storedTexts().includes('second 49'));
  execFileSync('journalctl', ['--flush']);
  logLines(lines('third', 50));
  await until('third', () => storedTexts().includes('third 49'));
  await agent.stop();
  const wanted = [...lines('first', 50), ...lines('second', 50), ...lines('third', 50)];
  assert.equal(
    storedTexts().filter((text) => /^(first|second|third) /.test(text)),
    wanted,
  );
  assert.is(forwardState()?.counts.lost, 0);
  await journald.stop();
});

const unknownId = 'f'.repeat(32);
/** Cursors that are valid, and that are not in the journal. */
const cursors: Record<string, { from: (last: string) => string; repeats: boolean }> = {
  'from before a flush: another source and sequence number': {
    from: (last) => last.replace(/s=\w+;i=\w+/, `s=${unknownId};i=1`),
    repeats: false,
  },
  'in the future of the journal': {
    from: () => `s=${unknownId};i=ffffff;b=${bootId};m=${now()};t=7fffffffffffff;x=1`,
    repeats: true,
  },
  'of a deleted entry': {
    from: (last) => last.replace(/x=\w+/, 'x=1').replace(/s=\w+;i=\w+/, `s=${unknownId};i=1`),
    repeats: false,
  },
};

function now(): string {
  return (process.hrtime.bigint() / 1000n).toString(16);
}

for (const [what, { from, repeats }] of Object.entries(cursors)) {
  journal(`a cursor ${what}: no entry is lost`, async () => {
    writeJournal(numbered('old', 20), 'old');
    await startRelp();
    await forwardUntil(20);
    saveCursor(from(savedCursor()));
    writeJournal(numbered('new', 20), 'new');
    const agent = startAgent();
    await until('the last entry', () => storedTexts().includes('new 19'));
    await agent.stop();
    assert.equal([...new Set(storedTexts())].sort(), journalField('MESSAGE').sort());
    assert.is(storedTexts().filter((text) => text === 'old 0').length, repeats ? 2 : 1);
  });
}

journal(
  'the clock jumps, the host is renamed: same order, entries of an unset clock are marked',
  async () => {
    const day = 86_400_000_000;
    const realtime = Date.now() * 1000 - Number(process.hrtime.bigint() / 1000n);
    const at = (seconds: number, offset: number, more: object) =>
      exportEntry({
        __MONOTONIC_TIMESTAMP: String(seconds * 1_000_000),
        __REALTIME_TIMESTAMP: String(realtime + seconds * 1_000_000 + offset),
        ...more,
      });
    writeJournal(
      Buffer.concat([
        at(1, -day, { MESSAGE: 'yesterday' }),
        at(2, day, { MESSAGE: 'tomorrow' }),
        at(3, 0, { MESSAGE: 'today' }),
        at(4, 0, { MESSAGE: 'renamed', _HOSTNAME: 'guest2' }),
      ]),
    );
    await startRelp();
    const agent = startAgent();
    await until('the last entry', () => storedLines('guest2') === 1);
    await agent.stop();
    const stored = storedEntries();
    assert.equal(
      stored.map(({ text, data }) => [text, data['isSynced'] ?? '1']),
      [
        ['yesterday', '0'],
        ['tomorrow', '0'],
        ['today', '1'],
      ],
    );
  },
);

journal.run();
