// Protocols: relp, journal+http
import fs from 'node:fs';
import * as assert from 'uvu/assert';
import {
  configure,
  forwardState,
  startAgent,
  startAgentAsNobody,
  startAgentUntil,
  untilState,
} from './support/agent.ts';
import { auditRecords } from './support/audit-records.ts';
import { serverName } from './support/certificates.ts';
import { exactMessages, startExactServer, startRelp, storedEntries, storedTexts } from './support/rsyslog.ts';
import { LiveJournal, numbered, writeJournal } from './support/journal.ts';
import type { Point } from './support/kill-at.ts';
import { type Program } from './support/program.ts';
import { sleep, until } from './support/until.ts';
import { exportedFields, remoteDirectory, startRemote, storedExport } from './support/remote.ts';
import { BufferedLog, RotatedLog } from './support/rotated-log.ts';
import { wireSuite } from './support/wire-suite.ts';

const files = await wireSuite(import.meta.filename, 'log files', { limitSeconds: 240 });
const auditLog = '/var/log/audit/audit.log';
const apps = ['/var/log/app/app-a.log', '/var/log/app/app-b.log'];

files.before.each(() => {
  for (const directory of ['/var/log/audit', '/var/log/app'])
    fs.rmSync(directory, { recursive: true, force: true });
});

interface Line {
  file: string;
  text: string;
}

interface Server {
  forward: string;
  start: () => Promise<Program>;
  /** Contains the files of the server. */
  directory: string;
  /** Returns the stored lines of log files, in order. */
  lines: () => Line[];
  /** The maximum number of entries that are repeated after a crash. */
  window: number;
}

const servers: Server[] = [
  {
    forward: `relp://${serverName}:2514`,
    start: () => startExactServer(),
    directory: '/var/log/guests/guest1',
    lines: linesOfParts,
    window: 1024,
  },
  {
    forward: `journal+http://${serverName}:19532`,
    start: () => startRemote('http'),
    directory: remoteDirectory,
    lines: linesOfEntries,
    window: 17_408,
  },
];

/** Joins the parts of long lines. A part that was repeated after a crash begins again with the first one. */
function linesOfParts(): Line[] {
  const lines: Line[] = [];
  let joined = '';
  for (const { data, text } of exactMessages()) {
    const { path: file, part = '1/1' } = data;
    if (file === undefined) continue;
    const [index, count] = part.split('/');
    joined = index === '1' ? text : joined + text;
    if (index === count) lines.push({ file, text: joined });
  }
  return lines;
}

function linesOfEntries(): Line[] {
  return exportedFields(storedExport()).flatMap((fields) => {
    const value = (name: string) => fields.find((field) => field.startsWith(name))?.slice(name.length);
    const file = value('IMMUTAFS_FILE=');
    return file === undefined ? [] : [{ file, text: value('MESSAGE=') ?? '' }];
  });
}

const records = auditRecords(60_000);
const linesOfApp = 3000;
/** Every 50 ms so many records are written. */
const recordsAtOnce = 400;
const rounds = records.length / recordsAtOnce;
const secondsPerRotation = 0.7;

/**
 * Writes the audit trail, which is often rotated, once by copytruncate, and the logs of two programs.
 * @returns the lines, by file
 */
async function write(): Promise<Map<string, string[]>> {
  const audit = new RotatedLog(auditLog);
  const programs = apps.map((file) => new BufferedLog(file));
  let [rotated, rotations] = [performance.now(), 0];
  for (let round = 0; round < rounds; round += 1) {
    const part = records.slice(round * recordsAtOnce, (round + 1) * recordsAtOnce);
    audit.append(part.map((record) => `${record}\n`).join(''));
    for (const [index, log] of programs.entries())
      for (let n = 0; n < linesOfApp / rounds; n += 1)
        log.write(`2026-01-31T00:00:00Z app-${index}: caf\xe9 request ${round}.${n} ${'.'.repeat(n)}`);
    // The programs wrote to the renamed log until now.
    for (const log of programs) log.reopen();
    if (performance.now() - rotated > secondsPerRotation * 1000) {
      rotated = performance.now();
      rotations += 1;
      if (rotations === 4) audit.copyTruncate();
      else audit.rename();
      audit.reopen();
      for (const log of programs) log.rename();
    }
    await sleep(50);
  }
  assert.ok(rotations > 8, `${rotations} rotations`);
  for (const log of programs) {
    // If the last round has renamed the log, a forwarder that starts now finds no log of this name.
    log.reopen();
    log.write(lastLine(log.file));
    log.flush();
  }
  return new Map([[auditLog, records], ...programs.map(({ file, lines }) => [file, lines] as const)]);
}

function lastLine(file: string): string {
  return `the last line of ${file}`;
}

const points: [Point, number][] = [
  ['saving', 2],
  ['sent', 4],
  ['saved', 3],
  ['sending', 9],
];

/** Kills the agent at each point in turn while the logs are written, and the server once. @returns how often */
async function disturb(server: Server, written: Promise<unknown>): Promise<number> {
  let running = await server.start();
  const progress = { isWritten: false };
  const end = written.then(() => (progress.isWritten = true));
  let kills = 0;
  for (; !progress.isWritten; kills += 1) {
    const [point, times] = points[kills % points.length] ?? ['sent', 1];
    const agent = startAgentUntil(point, times);
    await Promise.race([agent.ended, end]);
    await agent.kill();
    if (kills !== 3) continue;
    await running.kill();
    running = await server.start();
  }
  assert.ok(kills > 3, `${kills} kills`);
  startAgent();
  return kills;
}

for (const server of servers) {
  files(`${server.forward}: kill -9, rotation and a restart of the server lose no line`, async () => {
    configure({ FORWARD: server.forward, FORWARD_FILES: `${auditLog} /var/log/app/app-*.log` });
    writeJournal(numbered('entry', 100));
    const writing = write();
    const kills = await disturb(server, writing);
    const written = await writing;
    const lasts = [(records.at(-1) ?? '').slice(0, 60), ...apps.map(lastLine)];
    await until('the last lines', () => lasts.every((text) => isStored(server, text)), 60);
    await untilStill();
    const lines = server.lines();
    let repeated = 0;
    for (const [file, texts] of written) {
      const arrived = lines.filter((line) => line.file === file).map(({ text }) => text);
      assertSame([...new Set(arrived)], texts);
      repeated += arrived.length - texts.length;
    }
    assert.ok(repeated <= (kills + 1) * server.window, `${repeated} lines repeated`);
  });
}

function isStored({ directory }: Server, text: string): boolean {
  if (!fs.existsSync(directory)) return false;
  return fs.readdirSync(directory).some((name) => fs.readFileSync(`${directory}/${name}`).includes(text));
}

/** Waits until the agent has had nothing to send for two seconds. */
async function untilStill(): Promise<void> {
  let [count, since] = [-1, performance.now()];
  await until('no more acknowledgements', () => {
    const now = forwardState()?.counts.acknowledged ?? 0;
    if (now !== count) [count, since] = [now, performance.now()];
    return performance.now() - since > 2500;
  });
}

/** Compares line by line, because a comparison of all lines would print all of them. */
function assertSame(arrived: string[], written: string[]): void {
  const at = written.findIndex((text, index) => arrived[index] !== text);
  const found =
    at < 0
      ? ''
      : `line ${at}: ${(arrived[at] ?? 'nothing').slice(0, 200)}, but ${(written[at] ?? '').slice(0, 200)} was written ` +
        `and arrived as line ${arrived.indexOf(written[at] ?? '')}`;
  assert.is(found, '');
  assert.is(arrived.length, written.length);
}

const relp = `relp://${serverName}:2514`;
files('a file that may not be read is not sent; the journal and other logs continue', async () => {
  for (const directory of ['/var/log/audit', '/var/log/app']) fs.mkdirSync(directory);
  fs.writeFileSync(auditLog, 'secret\n', { mode: 0o600 });
  fs.writeFileSync('/var/log/app/other.log', 'of the other log\n');
  configure({ FORWARD: relp, FORWARD_FILES: `${auditLog} /var/log/app/other.log` });
  await startRelp();
  const journal = new LiveJournal();
  startAgentAsNobody();
  journal.append(numbered('entry', 100));
  await until('all entries', () =>
    ['entry 99', 'of the other log'].every((text) => storedTexts().includes(text)),
  );
  await until('the error', () => errorOf(auditLog) !== '');
  assert.match(errorOf(auditLog), `${auditLog}: permission denied`);
  journal.append(numbered('later', 100));
  await until('all later entries', () => storedTexts().includes('later 99'));
  assert.is(storedTexts().length, 201);
  assert.is(errorOf('/var/log/app/other.log'), '');
  await journal.close();
});

function errorOf(file: string): string {
  return forwardState()?.sources.find(({ path }) => path === file)?.error ?? '';
}

files('a record is an audit record only in the log of auditd', async () => {
  const record = 'type=USER_LOGIN msg=audit(1700000000.123:7): pid=1 res=success';
  const appLog = '/var/log/app/app.log';
  for (const file of [auditLog, appLog]) {
    fs.mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true });
    fs.writeFileSync(file, `${record}\n`);
  }
  configure({ FORWARD: relp, FORWARD_FILES: `${auditLog} ${appLog}` });
  await startRelp();
  startAgent();
  await until('both records', () => storedEntries().length === 2);
  const found = storedEntries().map(({ app, priority, id, time, data, text }) => {
    assert.is(text, record);
    return [data['path'], app, priority, id, time.startsWith('2023-11-14T22:13:20.123')];
  });
  assert.equal(found.sort(), [
    [appLog, 'app.log', 134, '-', false],
    [auditLog, 'audit', 110, 'USER_LOGIN', true],
  ]);
});

files('FORWARD_FILES that matches nothing: the journal is forwarded', async () => {
  configure({ FORWARD: relp, FORWARD_FILES: '/var/log/none/*.log /var/log/absent.log' });
  await startRelp();
  writeJournal(numbered('entry', 1000));
  startAgent();
  await until('all entries', () => storedEntries().length === 1000);
  const state = await untilState('connected');
  assert.equal([state.sources, state.error], [[], '']);
});

files.run();
