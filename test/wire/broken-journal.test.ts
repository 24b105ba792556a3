import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { unreadableText } from '../../agent/forward/pipeline/session.ts';
import { configure, forgetState, forwardState, startAgent } from './support/agent.ts';
import { clearJournal, exportEntry, numbered, writeJournal } from './support/journal.ts';
import { endAll } from './support/program.ts';
import { clearStored, startRsyslog, storedEntries, storedMessages } from './support/rsyslog.ts';
import { clearRemote, startRemote, storedField } from './support/remote.ts';
import { until } from './support/until.ts';
import { enterWorld } from './support/world.ts';

enterWorld(import.meta.filename);

const broken = suite('wire: a broken journal');

broken.before.each(() => {
  clearJournal();
  clearStored();
  clearRemote();
  forgetState();
  configure({ FORWARD: 'relp://127.0.0.1:2514' });
});
broken.after.each(async () => {
  await endAll();
  if (fs.existsSync('/run/fake')) execFileSync('umount', ['-l', '/usr/bin/journalctl']);
  fs.rmSync('/run/fake', { recursive: true, force: true });
});

const texts = () => storedEntries().map(({ text }) => text);
const notes = () => storedMessages().filter(({ app }) => app === 'immutafs-agent');

broken(
  '257: bytes of the file overwritten; what can be read arrives, and it does not go round in circles',
  async () => {
    const file = writeJournal(numbered('entry', 2000));
    const bytes = fs.readFileSync(file);
    const middle = bytes.indexOf('MESSAGE=entry 1000');
    bytes.fill(0xff, middle - 200, middle + 200);
    fs.writeFileSync(file, bytes);
    await startRsyslog('rsyslog-relp.conf', 2514);
    const agent = startAgent();
    await until('the last', () => texts().includes('entry 1999'), 60);
    await agent.stop();
    assert.ok(texts().length >= 1980, `${texts().length}`);
    assert.is(forwardState()?.counts.lost, 2000 - texts().length);
    assert.is(new Set(texts()).size, texts().length);
  },
);

const cursor = (n: number) =>
  `s=${'a'.repeat(32)};i=${n.toString(16)};b=${bootOf()};m=${(1000 + n).toString(16)};t=${(9000 + n).toString(16)};x=1`;

function bootOf(): string {
  return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().replaceAll('-', '');
}

/** What journalctl prints of an entry. */
function printed(n: number): string {
  const fields = exportEntry({ MESSAGE: `entry ${n}` }).toString();
  return `__CURSOR=${cursor(n)}\n${fields}`;
}

/** Entries as one journalctl prints them; where one begins is what it is asked for. 219 cannot select fields. */
function fakeJournalctl(script: string, files: Record<string, string>, version: '219' | '236' = '219'): void {
  fs.mkdirSync('/run/fake');
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(`/run/fake/${name}`, text);
  const probed = version === '219' ? '*--output-fields*) exit 1' : '*--version) exit 0';
  const begin = `cd /run/fake\ncase "$*" in ${probed} ;; esac\necho "$*" >>asked`;
  fs.writeFileSync('/run/fake/journalctl', `#!/bin/sh\n${begin}\n${script}`, { mode: 0o755 });
  execFileSync('mount', ['--bind', '/run/fake/journalctl', '/usr/bin/journalctl']);
}

const asked = () => fs.readFileSync('/run/fake/asked', 'utf8').trim().split('\n');

broken('219: it ends within an entry; the next one is asked for, and the server told', async () => {
  const half = printed(3).slice(0, 300);
  fakeJournalctl(
    `case "$*" in
      *--show-cursor*) echo "-- cursor: ${cursor(5)}" ;;
      *--after-cursor=*i=3\\;*) cat rest; exec sleep 1000 ;;
      *) cat first; echo 'Failed to get data: Bad message' >&2; exit 1 ;;
    esac`,
    { first: printed(1) + printed(2) + half, rest: printed(4) + printed(5) },
  );
  await startRsyslog('rsyslog-relp.conf', 2514);
  const agent = startAgent();
  await until('the last', () => texts().includes('entry 5'));
  await agent.stop();
  assert.equal(texts(), ['entry 1', 'entry 2', 'entry 4', 'entry 5']);
  assert.equal(
    notes().map(({ text }) => text),
    [unreadableText(cursor(3))],
  );
  assert.is(forwardState()?.counts.corrupt, 1);
  assert.is(forwardState()?.counts.lost, 0);
  const options = '-o export --no-pager -q --no-tail -f';
  assert.equal(asked().slice(0, 3), [
    `${options} -b`,
    `${options} --cursor=${cursor(1)}`,
    `${options} --after-cursor=${cursor(3)}`,
  ]);
});

broken('236: it is asked only for the fields that a message is made of', async () => {
  fakeJournalctl('cat all; exec sleep 1000', { all: printed(1) }, '236');
  await startRsyslog('rsyslog-relp.conf', 2514);
  startAgent();
  await until('it', () => texts().includes('entry 1'));
  assert.match(asked()[1] ?? '', /^-o export .* --output-fields=MESSAGE,[A-Z_,]+,_UID --cursor=/);
});

broken(
  'it goes on without the blank line after an entry; that one is told of, the next one is whole',
  async () => {
    fakeJournalctl('cat all; exec sleep 1000', {
      all: `${printed(1)}${printed(2).slice(0, -1)}${printed(3)}`,
    });
    await startRsyslog('rsyslog-relp.conf', 2514);
    const agent = startAgent();
    await until('the last', () => texts().includes('entry 3'));
    await agent.stop();
    assert.equal(texts(), ['entry 1', 'entry 3']);
    assert.is(notes().length, 1);
  },
);

broken('it is killed within an entry: that one is read again, and not taken for broken', async () => {
  fakeJournalctl(
    `case "$*" in
      *--cursor=*) n=$(cat n 2>/dev/null); echo 1 >n; [ -z "$n" ] || { cat all; exec sleep 1000; }; cat first; sleep 0.5; kill -9 $$ ;;
      *) cat first; exec sleep 1000 ;;
    esac`,
    { first: printed(1) + printed(2).slice(0, 200), all: printed(1) + printed(2) + printed(3) },
  );
  await startRsyslog('rsyslog-relp.conf', 2514);
  const agent = startAgent();
  await until('the last', () => texts().includes('entry 3'));
  await agent.stop();
  assert.equal(texts(), ['entry 1', 'entry 2', 'entry 3']);
  assert.equal(notes(), []);
});

/** It can print one entry, and then not go on: so it says as often as the file `times` has lines. */
const failing = (reason: string) =>
  `case "$*" in
    *--show-cursor*) echo "-- cursor: ${cursor(3)}" ;;
    *" -b") cat first; exec sleep 1000 ;;
    *--cursor=*m=${(1000 + 1).toString(16)}\\;*) cat first ;;
  esac
  if [ -s times ]; then sed -i 1d times; echo '${reason}' >&2; exit 1; fi
  cat rest; exec sleep 1000`;
const failed = { first: printed(1), rest: printed(2) + printed(3), times: '\n\n\n' };

broken(
  'it fails for a while, for no fault of the cursor: said in status, and nothing is sent twice',
  async () => {
    fakeJournalctl(failing('Failed to open journal: Cannot allocate memory'), failed);
    await startRsyslog('rsyslog-relp.conf', 2514);
    const agent = startAgent();
    await until('the reason', () => /Cannot allocate memory/.test(forwardState()?.error ?? ''));
    assert.is(forwardState()?.state, 'connected');
    await until('the last', () => texts().includes('entry 3'));
    await until('all is well', () => forwardState()?.error === '');
    await agent.stop();
    assert.equal(texts(), ['entry 1', 'entry 2', 'entry 3']);
  },
);

broken('it cannot begin at the cursor: it begins with the boot', async () => {
  fakeJournalctl(failing('Failed to seek to cursor: Invalid argument'), failed);
  await startRsyslog('rsyslog-relp.conf', 2514);
  startAgent();
  await until('the last', () => texts().includes('entry 3'));
  assert.equal(asked().filter((words) => words.endsWith(' -b')).length, 2);
});

broken(
  '219: it cannot go on after an entry at all: later ones are looked for, and what is between is counted',
  async () => {
    fakeJournalctl(
      `case "$*" in
      *--show-cursor*) echo "-- cursor: ${cursor(5)}" ;;
      *--cursor=*i=1\\;*) cat first; echo 'Failed to iterate through journal: Bad message' >&2; exit 1 ;;
      *--cursor=*) cat rest; exec sleep 1000 ;;
      *) cat first; exec sleep 1000 ;;
    esac`,
      { first: printed(1), rest: printed(4) + printed(5) },
    );
    await startRsyslog('rsyslog-relp.conf', 2514);
    const agent = startAgent();
    await until('the last', () => texts().includes('entry 5'), 60);
    await agent.stop();
    assert.equal(texts(), ['entry 1', 'entry 4', 'entry 5']);
    assert.is(forwardState()?.counts.lost, 2);
  },
);

broken(
  'journal upload: one of 3 MiB breaks off; the server is told in its place, and its neighbours arrive',
  async () => {
    const large = printed(2).replace('entry 2', 'x'.repeat(3 * 1024 * 1024));
    fakeJournalctl(
      `case "$*" in
      *--after-cursor=*i=2\\;*) cat rest; exec sleep 1000 ;;
      *) cat first; echo 'Failed to get data: Bad message' >&2; exit 1 ;;
    esac`,
      { first: printed(1) + large.slice(0, -100_000), rest: printed(3) },
    );
    configure({ FORWARD: 'journal+http://127.0.0.1:19532' });
    await startRemote('http');
    const agent = startAgent();
    await until('the last', () => forwardState()?.counts.acknowledged === 2);
    await agent.stop();
    execFileSync('umount', ['-l', '/usr/bin/journalctl']);
    fs.rmSync('/run/fake', { recursive: true });
    assert.equal([...new Set(storedField('MESSAGE'))], ['entry 1', unreadableText(cursor(2)), 'entry 3']);
  },
);

broken('it prints garbage, or fails at once: tried again with pauses, said seldom', async () => {
  fakeJournalctl('head -c 100000 /dev/urandom | tr -d "=\\n"; exit 1', {});
  await startRsyslog('rsyslog-relp.conf', 2514);
  const agent = startAgent();
  await until('three attempts', () => fs.existsSync('/run/fake/asked') && asked().length >= 3);
  assert.ok(agent.said().split('\n').length < 10, agent.said());
  assert.is(await agent.stop(), 0);
});

broken.run();
