// Protocols: relp, journal+http
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import * as assert from 'uvu/assert';
import { unreadableText } from '../../agent/forward/pipeline/session.ts';
import { configure, forwardState, startAgent } from './support/agent.ts';
import { bootId, exportEntry } from './support/journal.ts';
import { startRelp, storedMessages, storedTexts } from './support/rsyslog.ts';
import { startRemote, storedField } from './support/remote.ts';
import { until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

const broken = await wireSuite(import.meta.filename, 'a broken journal', { withReadJournal: false });

broken.before.each(() => configure({ FORWARD: 'relp://127.0.0.1:2514' }));
broken.after.each(() => {
  if (fs.existsSync('/run/fake')) execFileSync('umount', ['-l', '/usr/bin/journalctl']);
  fs.rmSync('/run/fake', { recursive: true, force: true });
});

const notices = () => storedMessages().filter(({ app }) => app === 'immutafs-agent');

const cursor = (n: number) =>
  `s=${'a'.repeat(32)};i=${n.toString(16)};b=${bootId};m=${(1000 + n).toString(16)};t=${(9000 + n).toString(16)};x=1`;

/** Returns an entry as printed by journalctl. */
function printed(n: number): string {
  const fields = exportEntry({ MESSAGE: `entry ${n}` }).toString();
  return `__CURSOR=${cursor(n)}\n${fields}`;
}

/** Replaces journalctl by a script. The journalctl of systemd 219 cannot select fields. */
function fakeJournalctl(script: string, files: Record<string, string>): void {
  fs.mkdirSync('/run/fake');
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(`/run/fake/${name}`, text);
  const begin = `cd /run/fake\ncase "$*" in *--output-fields*) exit 1 ;; esac\necho "$*" >>calls`;
  fs.writeFileSync('/run/fake/journalctl', `#!/bin/sh\n${begin}\n${script}`, { mode: 0o755 });
  execFileSync('mount', ['--bind', '/run/fake/journalctl', '/usr/bin/journalctl']);
}

async function forwardUntil(last: string): Promise<void> {
  await startRelp();
  const agent = startAgent();
  await until(last, () => storedTexts().includes(last), 60);
  await agent.stop();
}

const calls = () => fs.readFileSync('/run/fake/calls', 'utf8').trim().split('\n');

broken('219: journalctl ends within an entry: forwarding continues, and a notice is sent', async () => {
  const half = printed(3).slice(0, 300);
  fakeJournalctl(
    `case "$*" in
      *--show-cursor*) echo "-- cursor: ${cursor(5)}" ;;
      *--after-cursor=*i=3\\;*) cat rest; exec sleep 1000 ;;
      *) cat first; echo 'Failed to get data: Bad message' >&2; exit 1 ;;
    esac`,
    { first: printed(1) + printed(2) + half, rest: printed(4) + printed(5) },
  );
  await forwardUntil('entry 5');
  assert.equal(storedTexts(), ['entry 1', 'entry 2', 'entry 4', 'entry 5']);
  assert.equal(
    notices().map(({ text }) => text),
    [unreadableText(cursor(3))],
  );
  assert.is(forwardState()?.counts.corrupt, 1);
  assert.is(forwardState()?.counts.lost, 0);
});

broken('journalctl prints no blank line: a notice replaces the entry, the next one arrives', async () => {
  fakeJournalctl('cat all; exec sleep 1000', {
    all: `${printed(1)}${printed(2).slice(0, -1)}${printed(3)}`,
  });
  await forwardUntil('entry 3');
  assert.equal(storedTexts(), ['entry 1', 'entry 3']);
  assert.is(notices().length, 1);
});

broken('journalctl is killed within an entry: it is read again and does not count as corrupt', async () => {
  fakeJournalctl(
    `case "$*" in
      *--cursor=*) n=$(cat n 2>/dev/null); echo 1 >n; [ -z "$n" ] || { cat all; exec sleep 1000; }; cat first; sleep 0.5; kill -9 $$ ;;
      *) cat first; exec sleep 1000 ;;
    esac`,
    { first: printed(1) + printed(2).slice(0, 200), all: printed(1) + printed(2) + printed(3) },
  );
  await forwardUntil('entry 3');
  assert.equal(storedTexts(), ['entry 1', 'entry 2', 'entry 3']);
  assert.equal(notices(), []);
});

/** The size of the output buffer of each journalctl, as stdbuf sets it; empty for the default. */
const buffers = () => fs.readFileSync('/run/fake/buffers', 'utf8').split('\n').slice(0, -1);

broken('a journalctl that crashes loses its buffer, so the next one has a small buffer', async () => {
  fakeJournalctl(
    `echo "\${_STDBUF_O-}" >>buffers
    case "$*" in
      *" -b") cat first; exec sleep 1000 ;;
    esac
    cat first
    [ "$(wc -l <buffers)" -gt 2 ] || kill -SEGV $$
    cat rest; exec sleep 1000`,
    { first: printed(1), rest: printed(2) },
  );
  await forwardUntil('entry 2');
  assert.equal(buffers(), ['65536', '65536', '']);
});

broken('without a usable stdbuf, journalctl has a small buffer', async () => {
  fakeJournalctl('echo "${_STDBUF_O-}" >>buffers; cat all; exec sleep 1000', { all: printed(1) });
  execFileSync('mount', ['--bind', '/dev/null', '/usr/bin/stdbuf']);
  try {
    await forwardUntil('entry 1');
    assert.equal(buffers(), ['', '']);
  } finally {
    execFileSync('umount', ['/usr/bin/stdbuf']);
  }
});

/** Returns a script that prints one entry and then fails with the reason, once for each line in the file `times`. */
const failing = (reason: string) =>
  `case "$*" in
    *--show-cursor*) echo "-- cursor: ${cursor(3)}" ;;
    *" -b") cat first; exec sleep 1000 ;;
    *--cursor=*m=${(1000 + 1).toString(16)}\\;*) cat first ;;
  esac
  if [ -s times ]; then sed -i 1d times; echo '${reason}' >&2; exit 1; fi
  cat rest; exec sleep 1000`;
const failed = { first: printed(1), rest: printed(2) + printed(3), times: '\n\n\n' };

broken('journalctl fails for a while: state.json has the reason, and no entry is sent twice', async () => {
  fakeJournalctl(failing('Failed to open journal: Cannot allocate memory'), failed);
  await startRelp();
  const agent = startAgent();
  await until('the reason', () => /Cannot allocate memory/.test(forwardState()?.error ?? ''));
  assert.is(forwardState()?.state, 'connected');
  await until('the last entry', () => storedTexts().includes('entry 3'));
  await until('no error', () => forwardState()?.error === '');
  await agent.stop();
  assert.equal(storedTexts(), ['entry 1', 'entry 2', 'entry 3']);
});

broken('journalctl cannot seek to the cursor: forwarding begins at the first entry of the boot', async () => {
  fakeJournalctl(failing('Failed to seek to cursor: Invalid argument'), failed);
  await forwardUntil('entry 3');
  assert.equal(calls().filter((words) => words.endsWith(' -b')).length, 2);
});

broken('219: journalctl cannot continue: later entries are found, those in between are counted', async () => {
  fakeJournalctl(
    `case "$*" in
      *--show-cursor*) echo "-- cursor: ${cursor(5)}" ;;
      *--cursor=*i=1\\;*) cat first; echo 'Failed to iterate through journal: Bad message' >&2; exit 1 ;;
      *--cursor=*) cat rest; exec sleep 1000 ;;
      *) cat first; exec sleep 1000 ;;
    esac`,
    { first: printed(1), rest: printed(4) + printed(5) },
  );
  await forwardUntil('entry 5');
  assert.equal(storedTexts(), ['entry 1', 'entry 4', 'entry 5']);
  assert.is(forwardState()?.counts.lost, 2);
});

broken('journal upload: a notice replaces a corrupt entry of 3 MiB, the others arrive', async () => {
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
  await until('the last entry', () => forwardState()?.counts.acknowledged === 2);
  await agent.stop();
  execFileSync('umount', ['-l', '/usr/bin/journalctl']);
  fs.rmSync('/run/fake', { recursive: true });
  assert.equal([...new Set(storedField('MESSAGE'))], ['entry 1', unreadableText(cursor(2)), 'entry 3']);
});

broken('journalctl prints random bytes and fails: starts again after pauses, few messages', async () => {
  fakeJournalctl('head -c 100000 /dev/urandom | tr -d "=\\n"; exit 1', {});
  await startRelp();
  const agent = startAgent();
  await until('three attempts', () => fs.existsSync('/run/fake/calls') && calls().length >= 3);
  assert.ok(agent.output().split('\n').length < 10, agent.output());
  assert.is(await agent.stop(), 0);
});

broken.run();
