import { setTimeout } from 'node:timers/promises';
import { decideMode } from '../assess/mode.ts';
import { requireConfig } from '../config/config.ts';
import { readDisks, readGuest } from '../facts/guest.ts';
import { readAccounts } from '../facts/identity.ts';
import {
  type SessionRecord,
  holderOf,
  readInstalled,
  readSession,
  sessionFolder,
  sessionsFolder,
} from '../facts/sessions.ts';
import { SystemError, UsageError, hasCode, unless, unlessSystemError } from '../lib/errors.ts';
import { clean, minute } from '../lib/format.ts';
import { endOfSession, startOfSession } from '../report/session-log.ts';
import { runOnTerminal } from '../system/child.ts';
import { type Log, openJournal } from '../system/log.ts';
import type { SystemReader } from '../system/reader.ts';
import { caller, killProcess, makeNewDirectory, removeDirectory } from '../system/session-process.ts';
import type { SystemWriter } from '../system/writer.ts';
import type { Output } from './output.ts';
import { parseLimit } from './rehearsal.ts';

/** The options of `session`. */
export interface SessionOptions {
  allowInstall?: boolean;
  allowPolicyLoad?: boolean;
  limit: string;
  size: string;
}

const systemctl = '/usr/bin/systemctl';
const service = (id: number) => `immutafs-session@${id}.service`;
const scope = (id: number) => `immutafs-session-${id}.scope`;

/**
 * `session`: runs a shell or a command in a mount namespace of its own.
 * @returns the exit code of the command; 4 if the guest is not sealed
 * @throws SystemError if sessions are not permitted, or the session cannot be started
 */
export async function sessionCommand(
  reader: SystemReader,
  writer: SystemWriter,
  output: Output,
  command: readonly string[],
  options: SessionOptions,
): Promise<number> {
  const seconds = parseLimit(options.limit);
  if (!/^([1-9]\d?%|[1-9]\d{0,5}[mg])$/.test(options.size))
    throw new UsageError(`--size takes 1% to 99%, or a number followed by m or g, not ${options.size}`);
  const say = (text: string) => output.stderr(`immutafs-agent: ${clean(text)}\n`);
  const mode = verifyPermitted(reader);
  if (mode !== 'sealed') {
    say(`no session: this guest is not sealed (mode ${mode}), so that nothing would be discarded`);
    return 4;
  }
  const id = takeNumber(writer);
  let code, until;
  try {
    const session = record(reader, writer, id, command, seconds, options);
    ({ until } = session);
    const { installs } = session;
    startOfSession(await openJournal(), session);
    await start(writer, id);
    if (output.errorTerminal === true) {
      const writable = installs ? '/usr, /etc, /opt and the package database' : '/etc';
      say(`session ${id} until ${minute(until)}. Changes of ${writable} are discarded when it ends (exit).`);
    }
    sayPolicy(reader, say, output.errorTerminal === true, options);
    code = await runInside(reader, session);
  } finally {
    await writer.run(systemctl, ['stop', service(id)], 120);
    // If the service could not be started, it has not done this.
    await endSession(reader, writer, id);
    await endSession(reader, writer, id);
  }
  if (reader.now().toISOString() >= until) say(`session ${id} was ended at its time limit`);
  return code;
}

/** @returns the mode of this boot @throws SystemError if no session may be started here */
function verifyPermitted(reader: SystemReader): string {
  if (reader.environment().uid !== 0) throw new SystemError('session must run as root');
  if (requireConfig(reader).SESSION === 'off')
    throw new SystemError('no session: SESSION is off in /etc/immutafs/immutafs.conf');
  if (reader.link('/proc/self/ns/mnt') !== reader.processes.link(1, 'ns/mnt'))
    throw new SystemError(
      'no session: this process is in another mount namespace, such as that of a session',
    );
  const guest = readGuest(reader);
  return decideMode(guest.requestedMode, guest.bootEnv, readDisks(guest).disks).mode;
}

/** Says whether a package can load an SELinux policy: on a terminal, and wherever it can. */
function sayPolicy(
  reader: SystemReader,
  say: (text: string) => void,
  onTerminal: boolean,
  { allowPolicyLoad = false }: SessionOptions,
): void {
  if (reader.stat('/sys/fs/selinux/load') === undefined) return;
  if (allowPolicyLoad)
    say('an SELinux policy that the session loads (semodule) stays in the kernel until the reboot');
  else if (onTerminal)
    say(
      'no SELinux policy can be loaded (semodule fails), as it would stay in the kernel: --allow-policy-load',
    );
}

/** Takes the first free number. */
function takeNumber(writer: SystemWriter): number {
  writer.makeDirectory(sessionsFolder, 0o755);
  let id = 1;
  while (!makeNewDirectory(sessionFolder(id), 0o755)) id += 1;
  return id;
}

/** Records the session, last in the file that shows it to others. */
function record(
  reader: SystemReader,
  writer: SystemWriter,
  id: number,
  command: readonly string[],
  seconds: number,
  { allowInstall: installs = false, allowPolicyLoad = false, size }: SessionOptions,
): SessionRecord {
  const folder = sessionFolder(id);
  const now = reader.now().getTime();
  const { terminal, pid } = caller();
  const session: SessionRecord = {
    ...{ id, user: loginUser(reader), terminal, command: [...command], installs },
    since: new Date(now).toISOString(),
    until: new Date(now + seconds * 1000).toISOString(),
  };
  makeNewDirectory(`${folder}/layers`, 0o700);
  const may = { INSTALL: installs ? 1 : 0, POLICY: allowPolicyLoad ? 1 : 0 };
  const variables = { SIZE: size, LIMIT: seconds, CLIENT: pid, ...may };
  const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
  writer.writeAtomically(`${folder}/environment`, lines.join(''), 0o600);
  writer.writeAtomically(`${folder}/session.json`, `${JSON.stringify(session)}\n`, 0o644);
  return session;
}

/** Returns the user who logged in; root without a login, as in a service. */
function loginUser(reader: SystemReader): string {
  const uid = unlessSystemError(() => reader.read('/proc/self/loginuid').trim()) ?? '';
  return readAccounts(reader).find((account) => account.uid === uid && uid !== '')?.name ?? 'root';
}

async function start(writer: SystemWriter, id: number): Promise<void> {
  const { exit } = await writer.run(systemctl, ['start', service(id)], 120);
  if (exit !== 0)
    throw new SystemError(`the session cannot be started. The reason: journalctl -b -u ${service(id)}`);
}

/**
 * Run by a shell in the session: it leaves no memory of others to the processes of the session if memory is short, undoes
 * what Node.js did to the limit of open files, and restores the working directory, which setns(2) changes.
 */
const enter =
  'echo 1000 >/proc/self/oom_score_adj; ulimit -S -n 1024; cd "$0" 2>/dev/null || cd /; exec "$@"';

/** Runs the command in a scope, so that the caller's terminal, environment and login remain those of the session. */
async function runInside(reader: SystemReader, { id, command }: SessionRecord): Promise<number> {
  const holder = holderOf(reader, id);
  if (holder === undefined) throw new SystemError(`session ${id} has ended before its command was started`);
  const { directory, shell, memory } = caller();
  const limit = `${unifiedCgroups(reader) ? 'MemoryMax' : 'MemoryLimit'}=${Math.floor(memory / 2)}`;
  const name = [`--unit=${scope(id)}`, `--description=Session ${id} with temporary tools`];
  const unit = ['--scope', '--quiet', ...name, `--property=${limit}`];
  const namespace = ['/usr/bin/nsenter', `--mount=/proc/${holder.pid}/ns/mnt`];
  const inside = ['/bin/sh', '-c', enter, directory, ...(command.length === 0 ? [shell] : command)];
  return runOnTerminal('/usr/bin/systemd-run', [...unit, '--', ...namespace, '--', ...inside], {
    IMMUTAFS_SESSION: `${id}`,
  });
}

const unifiedCgroups = (reader: SystemReader) =>
  reader.stat('/sys/fs/cgroup/cgroup.controllers') !== undefined;

/** How long the processes of a session may take after SIGTERM and SIGHUP, in steps of 200 ms. To list packages takes longer. */
const patience = 25;

/**
 * Ends a session: its processes, also those that have left its scope, and its record. Removes
 * its directory if that has been done. immutafs-session@.service runs this as `end-session`, whatever ends the session.
 */
export async function endSession(
  reader: SystemReader,
  writer: SystemWriter,
  id: number,
  open: () => Promise<Log> = openJournal,
): Promise<void> {
  const session = readSession(reader, id);
  if (session !== undefined) {
    await endScope(writer, scope(id));
    killInNamespace(reader, id);
    if (session.installs) await listOnceMore(reader, writer, id);
    endOfSession(await open(), session, readInstalled(reader, session), reader.now());
    writer.remove(`${sessionFolder(id)}/session.json`);
    return;
  }
  // On Linux 3.10, a directory cannot be removed while something is mounted on it in another namespace (rmdir(2): EBUSY).
  unless(hasCode('EBUSY'), () => removeDirectory(sessionFolder(id)));
}

/** Has the packages of a session listed once more, if the process that does so still exists. */
async function listOnceMore(reader: SystemReader, writer: SystemWriter, id: number): Promise<void> {
  const request = `${sessionFolder(id)}/list`;
  writer.writeAtomically(request, '', 0o600);
  const isWaiting = () => reader.stat(request) !== undefined && holderOf(reader, id) !== undefined;
  for (let step = 0; step < 5 * patience && isWaiting(); step++) await setTimeout(200);
}

async function endScope(writer: SystemWriter, unit: string): Promise<void> {
  const kill = (signal: string) => writer.run(systemctl, ['kill', `--signal=${signal}`, unit], 30);
  const isActive = async () => (await writer.run(systemctl, ['is-active', '--quiet', unit], 30)).exit === 0;
  // An interactive shell ignores SIGTERM.
  await kill('SIGTERM');
  await kill('SIGHUP');
  for (let step = 0; step < patience && (await isActive()); step++) await setTimeout(200);
  if (await isActive()) {
    await kill('SIGKILL');
    await writer.run(systemctl, ['stop', unit], 60);
  }
  // A scope in which a process was ended for its memory has failed, and its name could not be used again.
  await writer.run(systemctl, ['reset-failed', unit], 30);
}

/**
 * Kills the processes that see a layer of the session: those in its mount namespace and in copies of it, also outside of its
 * scope. systemd ends those of the service, of which one keeps the namespace.
 */
function killInNamespace(reader: SystemReader, id: number): void {
  const read = (pid: number, name: string) =>
    unlessSystemError(() => reader.processes.read(pid, name, 16 * 1024 * 1024)) ?? '';
  for (const pid of reader.processes.list()) {
    const sees = read(pid, 'mountinfo').includes(`upperdir=${sessionFolder(id)}/layers/`);
    if (sees && !read(pid, 'cgroup').includes(`/${service(id)}`)) killProcess(pid);
  }
}
