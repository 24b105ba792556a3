// Protocols: relp, journal+http
/** Tests that forwarding continues after a reboot: the journal of earlier boots, and the state on a data disk. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import * as assert from 'uvu/assert';
import {
  configure,
  forgetState,
  forwardState,
  savedCursor,
  startAgent,
  startAgentUntil,
  untilState,
} from './support/agent.ts';
import {
  bootId,
  clearJournal,
  exportEntry,
  journalDirectory,
  numbered,
  writeJournal,
} from './support/journal.ts';
import type { Program } from './support/program.ts';
import { startRemote, storedField } from './support/remote.ts';
import { startRelp, storedMessages, storedTexts } from './support/rsyslog.ts';
import { until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

const directory = '/run/state';
const stateFile = `${directory}/checkpoint`;
const machine = fs.readFileSync('/etc/machine-id', 'utf8').trim();
const [first, second] = ['a'.repeat(32), 'b'.repeat(32)];
const count = 30;
const now = Date.now() * 1000;
const hour = 3600 * 1_000_000;

/** Writes the journal of an earlier boot. @param start when the boot logged, in microseconds since 1970 */
function writeBoot(boot: string, name: string, start: number): void {
  const entries = Array.from({ length: count }, (_, index) =>
    exportEntry({
      _BOOT_ID: boot,
      __REALTIME_TIMESTAMP: String(start + index),
      __MONOTONIC_TIMESTAMP: String(1_000_000 + index),
      MESSAGE: `${name} ${index}`,
    }),
  );
  writeJournal(Buffer.concat(entries), name);
}

function cursorsOf(boot: string): string[] {
  const text = execFileSync('journalctl', ['-o', 'export', `_BOOT_ID=${boot}`], { maxBuffer: 1024 ** 3 });
  return [...text.toString('latin1').matchAll(/^__CURSOR=(.*)$/gm)].map(([, cursor]) => cursor ?? '');
}

const state = (cursor: string) => `MACHINE=${machine}\nBOOT=${first}\nCURSOR=${cursor}\n`;
const texts = (name: string, from = 0) =>
  Array.from({ length: count - from }, (_, index) => `${name} ${from + index}`);
const everything = [...texts('first'), ...texts('second'), ...texts('this')];
const relp = { FORWARD: 'relp://127.0.0.1:2514', FORWARD_FILES: '' };
const durable = { ...relp, FORWARD_STATE: directory };

/** Starts a server and the agent, and asserts that the server stores exactly these entries. */
async function forwardUntilAll(expected: readonly string[]): Promise<Program> {
  await startRelp();
  const agent = startAgent();
  await until('all entries', () => storedTexts().length >= expected.length);
  assert.equal(storedTexts(), expected);
  return agent;
}

const reboots = await wireSuite(import.meta.filename, 'across reboots');
reboots.before.each(() => {
  configure(durable);
  fs.rmSync(directory, { recursive: true, force: true });
  fs.mkdirSync(directory);
  writeBoot(first, 'first', now - 3 * hour);
  writeBoot(second, 'second', now - 2 * hour);
  writeJournal(numbered('this', count));
});

reboots('continues after the last acknowledged entry of an earlier boot, and repeats nothing', async () => {
  fs.writeFileSync(stateFile, state(cursorsOf(first)[9] ?? ''));
  const agent = await forwardUntilAll(everything.slice(10));
  assert.is(await agent.stop(), 0);
  assert.match(fs.readFileSync(stateFile, 'utf8'), `\nCURSOR=${savedCursor()}\n`);
  // As after the next reboot: only the state on the disk is left.
  forgetState();
  writeJournal(numbered('later', 1), 'later');
  startAgent();
  await until('the later entry', () => storedTexts().includes('later 0'));
  assert.equal(storedTexts(), [...everything.slice(10), 'later 0']);
});

reboots('by journal upload, with nothing acknowledged of the second boot', async () => {
  configure({ ...durable, FORWARD: 'journal+http://127.0.0.1:19532' });
  fs.writeFileSync(stateFile, state(cursorsOf(first).at(-1) ?? ''));
  await startRemote('http');
  startAgent();
  const expected = everything.slice(count);
  await until('all entries', () => stored().length >= expected.length);
  assert.equal(stored().sort(), expected.sort());
});

function stored(): string[] {
  return storedField('MESSAGE').filter((text) => /^(first|second|this) /.test(text));
}

for (const [title, prepare, expected] of [
  ['with the default state, only this boot is sent', () => configure(relp), texts('this')],
  ['without a state, only this boot is sent', () => undefined, texts('this')],
  [
    'a state whose boot is no longer in the journal: later boots are sent',
    () => {
      fs.writeFileSync(stateFile, state(cursorsOf(first)[9] ?? ''));
      fs.rmSync(`${journalDirectory}/first.journal`);
    },
    everything.slice(count),
  ],
] as const) {
  reboots(title, async () => {
    prepare();
    await forwardUntilAll(expected);
  });
}

reboots('a state that is a symbolic link is reported, and every boot is sent', async () => {
  fs.symlinkSync('/etc/passwd', stateFile);
  const agent = await forwardUntilAll(everything);
  assert.match(agent.output(), 'a symbolic link');
});

reboots('a clock that went back does not hide an entry of this boot', async () => {
  clearJournal();
  writeBoot(first, 'first', now + hour);
  writeJournal(numbered('this', count));
  fs.writeFileSync(stateFile, state(cursorsOf(first).at(-1) ?? ''));
  await forwardUntilAll(texts('this'));
});

reboots('a damaged journal of an earlier boot is reported, and the other boots are complete', async () => {
  fs.writeFileSync(stateFile, state(cursorsOf(first)[9] ?? ''));
  const file = `${journalDirectory}/second.journal`;
  const bytes = fs.readFileSync(file);
  bytes.fill(0xff, Math.floor(bytes.length * 0.01), Math.floor(bytes.length * 0.02));
  fs.writeFileSync(file, bytes);
  await startRelp();
  startAgent();
  await until('the entries of this boot', () => storedTexts().includes(`this ${count - 1}`), 60);
  const good = (text: string) => !text.startsWith('second');
  assert.equal(storedTexts().filter(good), everything.slice(10).filter(good));
});

reboots('a state that cannot be written is reported, and forwarding goes on', async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k,nr_inodes=2', 'wire', directory]);
  try {
    fs.writeFileSync(stateFile, '');
    const agent = await forwardUntilAll(everything);
    await until('the message', () => /no space left/i.test(agent.output()), 30);
    assert.is(forwardState()?.state, 'connected');
    assert.is(await agent.stop(), 0);
  } finally {
    execFileSync('umount', [directory]);
  }
});

reboots('a boot in which no server answered is sent by the next boot', async () => {
  const unanswered = startAgent();
  await untilState('waiting');
  await unanswered.stop();
  assert.is(fs.readFileSync(stateFile, 'utf8'), `MACHINE=${machine}\nBOOT=${bootId}\nCURSOR=\n`);
  // As if the second boot had written it. Log lines that are acknowledged first do not hide the journal.
  fs.writeFileSync(stateFile, `MACHINE=${machine}\nBOOT=${second}\nCURSOR=\n`);
  forgetState();
  assert.is(await (await forwardUntilAll(everything.slice(count))).stop(), 0);
});

reboots('killed while it reads earlier boots: nothing is missing', async () => {
  fs.writeFileSync(stateFile, '');
  await startRelp();
  for (const [point, times] of [
    ['sent', 2],
    ['saving', 1],
    ['saved', 1],
  ] as const)
    assert.is(await startAgentUntil(point, times).ended, null);
  startAgent();
  await until('all entries', () => new Set(storedTexts()).size >= everything.length);
  assert.equal([...new Set(storedTexts())], everything);
  assert.is(
    storedMessages().some(({ text }) => text.includes('deleted before')),
    false,
  );
});

assert.not.equal(first, bootId);
reboots.run();
