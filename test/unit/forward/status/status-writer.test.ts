import { mock } from 'node:test';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StatusWriter, zeroCounts } from '../../../../agent/forward/status/status-writer.ts';
import { type SystemReader, systemReader } from '../../../../agent/system/reader.ts';
import { type SystemWriter, systemWriter } from '../../../../agent/system/writer.ts';
import {
  type ForwardSource,
  type ForwardState,
  findForwarder,
  forwardStateFile,
} from '../../../../agent/facts/forwarder.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const status = suite('status writer');

/** Returns a writer with a clock that can be set, and the state that the writer wrote last. */
function begin() {
  const session = { idle: true, problem: '' };
  const it = {
    offset: 0,
    written: '',
    writes: 0,
    session,
    counts: zeroCounts(),
    sources: [] as ForwardSource[],
    lostFiles: 0,
  };
  const reader: SystemReader = {
    ...systemReader(),
    now: () => new Date(Date.now() + it.offset),
  };
  const files: SystemWriter = {
    ...systemWriter(),
    makeDirectory: () => undefined,
    writeAtomically: (_, text) => {
      it.written = text;
      it.writes += 1;
    },
  };
  const writer = new StatusWriter({
    ...{ reader, writer: files, cursor: () => '', sources: () => it.sources, trouble: () => undefined },
    lostFiles: () => it.lostFiles,
  });
  writer.watch(it.counts, () => it.session);
  return { it, writer, state: () => JSON.parse(it.written) as ForwardState };
}

const second = () => mock.timers.tick(1000);
const ago = (time: string | null, offset: number) => Date.now() + offset - Date.parse(time ?? '');

status.before.each(() => mock.timers.enable({ apis: ['setTimeout'] }));
status.after.each(() => mock.timers.reset());

for (const [what, jump, idle] of [
  ['forward by a day: one second later', 86_400_000, 0],
  ['back by a day: one second later', -86_400_000, 0],
  ['forward while nothing happens: five seconds later', 86_400_000, 3],
] as const) {
  status(`the clock is set ${what}, all times are moved`, () => {
    const { it, writer, state } = begin();
    writer.set('connected', 'relp://a:1');
    it.counts.acknowledged = 5;
    for (let count = 0; count <= idle; count += 1) second();
    it.offset = jump;
    for (let count = 0; count < (idle > 0 ? 5 : 1); count += 1) second();
    for (const time of [state().at, state().since, state().lastAckAt])
      assert.ok(Math.abs(ago(time, jump)) < 10_000, time ?? 'null');
    writer.set('waiting', 'relp://a:1', 'away');
    it.offset = 0;
    writer.set('connected', 'relp://a:1');
    second();
    assert.ok(Math.abs(ago(state().since, 0)) < 5000, state().since);
  });
}

status('looks for changes every five seconds if nothing changes, and within a second after a call', () => {
  const { it, writer } = begin();
  const asked = () => {
    const before = reads;
    second();
    return reads > before;
  };
  let reads = 0;
  Object.defineProperty(it, 'sources', { get: () => ((reads += 1), []) });
  writer.set('connected', 'relp://a:1');
  second();
  second();
  assert.equal(Array.from({ length: 10 }, (_, n) => n + 1).filter(asked), [5, 10]);
  it.counts.acknowledged = 1;
  writer.wake();
  const before = it.writes;
  second();
  assert.is(it.writes, before + 1);
});

status('a change of the connection is followed by a look for other changes within a second', () => {
  const { it, writer, state } = begin();
  for (let count = 0; count < 3; count += 1) second();
  writer.set('connected', 'relp://a:1');
  it.session.problem = 'journalctl ended';
  second();
  assert.is(state().error, 'journalctl ended');
});

status('a log file that was removed is written within five seconds', () => {
  const { it, writer, state } = begin();
  writer.set('connected', 'relp://a:1');
  for (let count = 0; count < 3; count += 1) second();
  it.lostFiles = 1;
  for (let count = 0; count < 5; count += 1) second();
  assert.is(state().lostFiles, 1);
});

status('nothing is written after the end', () => {
  const { it, writer, state } = begin();
  for (let count = 0; count < 3; count += 1) second();
  writer.stop();
  it.counts.acknowledged = 1;
  writer.wake();
  const before = it.writes;
  for (let count = 0; count < 10; count += 1) second();
  assert.equal([it.writes, state().state], [before, 'stopped']);
});

status('a long reason is cut', () => {
  const { writer, state } = begin();
  writer.set('waiting', 'relp://a:1', 'x'.repeat(100_000));
  assert.is(state().error, 'x'.repeat(500));
});

status('long paths that begin alike remain different', () => {
  const { it, writer, state } = begin();
  const names = ['a', 'b'].map((end) => `/var/log/${'x'.repeat(400)}${end}`);
  it.sources = [...names, '/var/log/short'].map((path) => ({
    ...{ path, error: '', acknowledgedBytes: 0, behindBytes: 0, lostBytes: 0 },
  }));
  writer.set('connected', 'relp://a:1');
  second();
  const paths = state().sources.map(({ path }) => path);
  assert.is(new Set(paths).size, 3);
  assert.ok(paths.every((path) => path.length <= 300));
  assert.is(paths[2], '/var/log/short');
});

for (const [what, text] of [
  ['control characters', '\x01'.repeat(4000)],
  ['DEL', '\x7f'.repeat(4000)],
  ['unpaired surrogates', '\ud800'.repeat(4000)],
  ['characters beyond U+FFFF', '\u{1f600}'.repeat(2000)],
  ['letters', 'x'.repeat(4000)],
] as const)
  status(`200 log files with names of ${what} and of any size leave the state readable`, () => {
    const { it, writer, state } = begin();
    const many = 4 * 2 ** 60;
    it.sources = Array.from({ length: 201 }, () => ({
      ...{ path: `/${text}`, error: text },
      ...{ acknowledgedBytes: many, behindBytes: many, lostBytes: many },
    }));
    it.session.problem = text;
    it.counts.lost = it.counts.suppressed = many;
    writer.set('connected', 'relp://a:1');
    second();
    inTemporaryDirectory((root) => {
      writeFiles(root, { [forwardStateFile.slice(1)]: Buffer.from(it.written).toString('latin1') });
      const found = findForwarder(systemReader({ root }))?.state;
      assert.equal(found, state());
      assert.is(found?.sources.length, 200);
      assert.is(found?.sources[0]?.behindBytes, Number.MAX_SAFE_INTEGER);
      assert.is(found?.counts.lost, Number.MAX_SAFE_INTEGER);
      assert.is(it.counts.lost, many);
    });
  });

status('reports that the journal cannot be read, although connected, until it can be read', () => {
  const { it, writer, state } = begin();
  writer.set('connected', 'relp://a:1');
  it.session.problem = 'journalctl ended';
  second();
  assert.equal([state().state, state().error], ['connected', 'journalctl ended']);
  it.session.problem = '';
  second();
  assert.is(state().error, '');
});

status('the lag is 0 only if nothing was acknowledged since the last tick', () => {
  const { it, writer, state } = begin();
  writer.set('connected', 'relp://a:1');
  for (it.counts.acknowledged = 100; it.counts.acknowledged < 400; it.counts.acknowledged += 100) {
    second();
    assert.is(state().lag.entries, null);
  }
  it.counts.acknowledged = 300;
  second();
  assert.is(state().lag.entries, 0);
});

status.run();
