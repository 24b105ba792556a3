// Protocols: relp, journal+http
/** Tests which program reads the journal for the forwarder: read-journal, and after a failure journalctl. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import * as assert from 'uvu/assert';
import { libsystemdVersion } from '../../agent/system/journalctl.ts';
import { configure, forwardState, startAgent } from './support/agent.ts';
import { LiveJournal, exportEntry, journalExport, numbered, writeJournal } from './support/journal.ts';
import { type Program } from './support/program.ts';
import { sleep, until } from './support/until.ts';
import { bareEntries, exportedFields, startRemote, storedExport, storedField } from './support/remote.ts';
import { startRelp, storedTexts } from './support/rsyslog.ts';
import { wireSuite } from './support/wire-suite.ts';

const program = '/usr/libexec/immutafs/read-journal';
/** Where a test puts the program while it is absent or replaced. */
const kept = `${program}.kept`;
const reading = await wireSuite(import.meta.filename, 'the program that reads the journal');

reading.before.each(() => configure({ FORWARD: 'relp://127.0.0.1:2514' }));
reading.after.each(() => {
  if (fs.existsSync(kept)) fs.renameSync(kept, program);
});

/** Waits until only this program reads the journal for an agent, which starts others for a moment. */
async function untilReadBy({ process: { pid } }: Program, name: string): Promise<void> {
  await until(`${name} alone reads the journal`, () => {
    const children = childrenOf(pid);
    return children.length === 1 && nameOf(children[0] ?? '') === name;
  });
}

function childrenOf(pid: number | undefined): string[] {
  return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
}

/** @returns the name of a process; empty if it has ended */
function nameOf(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Forwards 100 entries. Asserts that each arrives once, and that this program reads the journal. */
async function forwardWith(name: string): Promise<Program> {
  writeJournal(numbered('entry', 100));
  await startRelp();
  const agent = startAgent();
  await until('the last entry', () => storedTexts().includes('entry 99'));
  await untilReadBy(agent, name);
  await agent.stop();
  assert.is(storedTexts().length, 100);
  return agent;
}

reading('the forwarder runs it', async () => {
  await forwardWith('read-journal');
});

/** Starts a server. @returns a function that returns the entries that have arrived, without the agent's own */
async function serve(protocol: 'relp' | 'upload'): Promise<() => string[]> {
  if (protocol === 'relp') {
    await startRelp();
    return storedTexts;
  }
  configure({ FORWARD: 'journal+http://127.0.0.1:19532' });
  await startRemote('http');
  return () =>
    exportedFields(storedExport())
      .filter((fields) => !fields.includes('SYSLOG_IDENTIFIER=immutafs-agent'))
      .map((fields) => fields.find((field) => field.startsWith('MESSAGE='))?.slice(8) ?? '');
}

for (const [protocol, name] of [
  ['relp', 'read-journal'],
  ['upload', 'read-journal'],
  ['relp', 'journalctl'],
] as const) {
  reading(`${protocol}, ${name}: of a damaged file, all readable entries arrive once`, async () => {
    const count = 2000;
    const file = writeJournal(numbered('entry', count));
    const bytes = fs.readFileSync(file);
    const middle = bytes.indexOf(`MESSAGE=entry ${count / 2}`);
    bytes.fill(0xff, middle - 200, middle + 200);
    fs.writeFileSync(file, bytes);
    if (name === 'journalctl') fs.renameSync(program, kept);
    const arrived = await serve(protocol);
    const agent = startAgent();
    await until('the last entry', () => arrived().includes(`entry ${count - 1}`), 60);
    await agent.stop();
    assert.ok(arrived().length >= count - 20, `${arrived().length}`);
    const { lost = 0, corrupt = 0 } = forwardState()?.counts ?? {};
    assert.is(lost + corrupt, count - arrived().length);
    assert.is(new Set(arrived()).size, arrived().length);
  });
}

reading('after a crash, journalctl continues', async () => {
  const journal = new LiveJournal();
  journal.append(numbered('before', 100));
  await startRelp();
  const agent = startAgent();
  await until('the last entry', () => storedTexts().includes('before 99'));
  execFileSync('pkill', ['-SEGV', '-x', 'read-journal']);
  journal.append(numbered('after', 100));
  await until('the last entry', () => storedTexts().includes('after 99'));
  await untilReadBy(agent, 'journalctl');
  await agent.stop();
  assert.match(agent.output(), 'read-journal ended: no message (SIGSEGV); journalctl reads the journal');
  await journal.close();
  assert.is(storedTexts().length, 200);
  assert.is(forwardState()?.counts.lost, 0);
});

for (const [what, entries, repeated] of [
  ['a long backlog', numbered('entry', 100_000), 0],
  // The server discards an incomplete entry only when the connection ends. Then the entries before it are sent again.
  ['a large entry', exportEntry({ MESSAGE: 'large', LARGE: 'x'.repeat(64 * 1024 * 1024) }), 10],
] as const) {
  reading(`upload: after a crash within ${what}, journalctl continues, and everything arrives`, async () => {
    configure({ FORWARD: 'journal+http://127.0.0.1:19532' });
    writeJournal(Buffer.concat([numbered('before', 10), entries, numbered('after', 10)]));
    const server = await startRemote('http');
    const agent = startAgent();
    const reader = () => childrenOf(agent.pid).find((pid) => nameOf(pid) === 'read-journal');
    await until('the start of read-journal', () => reader() !== undefined);
    server.signal('SIGSTOP');
    // It waits, because the server does not read, and the rest is larger than the buffers on the way.
    await sleep(1000);
    process.kill(Number(reader()), 'SIGSEGV');
    await sleep(1000);
    server.signal('SIGCONT');
    await until('the last entry', () => storedField('MESSAGE').includes('after 9'), 60);
    await agent.stop();
    assert.match(agent.output(), 'read-journal ended: no message (SIGSEGV); journalctl reads the journal');
    assert.equal([...new Set(bareEntries(storedExport()))], bareEntries(journalExport()));
    const counts = forwardState()?.counts;
    assert.equal([counts?.lost, counts?.refused, counts?.repeated], [0, 0, repeated]);
  });
}

reading('a program that cannot be run: journalctl reads the journal', async () => {
  fs.renameSync(program, kept);
  fs.writeFileSync(program, '#!/nonexistent\n', { mode: 0o755 });
  const agent = await forwardWith('journalctl');
  assert.match(agent.output(), /read-journal ended: spawn .* ENOENT; journalctl reads the journal/);
});

reading('a systemd that is later than read-journal: journalctl reads the journal', async () => {
  fs.copyFileSync('/usr/bin/journalctl', '/run/journalctl', fs.constants.COPYFILE_EXCL);
  const later = `systemd ${libsystemdVersion + 1} (${libsystemdVersion + 1}.1-1)`;
  const script = `case $* in *--version*) echo '${later}' ;; *) exec /run/journalctl "$@" ;; esac`;
  fs.writeFileSync('/run/later', `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  execFileSync('mount', ['--bind', '/run/later', '/usr/bin/journalctl']);
  try {
    await forwardWith('journalctl');
  } finally {
    execFileSync('umount', ['--lazy', '/usr/bin/journalctl']);
  }
});

reading.run();
