import { monotonicMilliseconds } from '../../../system/clock.ts';
import { errorMessage, unlessSystemError } from '../../../lib/errors.ts';
import { decodeBytes } from '../../../lib/format.ts';
import type { MappedFile, MappedFiles } from '../../../system/mapped-files.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { MountTable } from '../../mounts/mountinfo.ts';
import {
  type Context,
  type ForeignFile,
  foreignFilesOf,
  isProven,
  readForeignFiles,
} from './foreign-files.ts';
import { type Origin, originOf } from './origin.ts';
import { type ProcessDetails, processDescriber, startTicks, ticksPerSecond } from './process-details.ts';
import { type Config, words } from '../../../config/config.ts';
import type { BootEnv } from '../../boot/boot-env.ts';
import { type Observed, unwrap, valueOf } from '../../observed.ts';
import { deletedSuffix } from './layer-files.ts';
import { sessionFinder } from '../../sessions.ts';
import type { BlockDevice } from '../../disks/block-devices.ts';

/** A process that runs a file that did not come from the sealed disk. */
export interface ForeignProgram extends ProcessDetails, Origin, Pick<ForeignFile, 'role'> {
  pid: number;
  path: string;
  /** The number of further such files of the process. */
  otherFiles: number;
}

export interface ForeignPrograms {
  /** The first of the processes in ascending order of their ID. */
  list: ForeignProgram[];
  /** The number of such processes, which may be larger than the list. */
  count: number;
  /** The number of processes that were examined, with those that run only files of the sealed disk. */
  examined: number;
  /** The processes that could not be examined, with the reason for each. */
  unexamined: { pid: number; reason: string }[];
}

const listedByDefault = 100;
/** Without read-mappings, the devices of anonymous memory are unknown, and a mapping of it counts as a foreign file. */
const none: MappedFiles = {
  ...{ groups: [], addresses: new Map(), unreadable: new Map(), rest: [], memory: new Set() },
};
/** Upper bound on the time to examine all processes, in milliseconds. */
const maximumTime = 3000;

interface ProgramOptions extends Pick<Context, 'sealed' | 'allowed'> {
  /** Undefined if there is no record of this boot. */
  initramfs?: InitramfsRecord | undefined;
  /** The maximum length of the list; 100 by default. */
  listed?: number | undefined;
}

/** The part of facts/guest.ts that the search needs. */
interface SearchedGuest {
  reader: SystemReader;
  mounts: MountTable;
  config: Pick<Config, 'FOREIGN_PROGRAMS' | 'FOREIGN_PROGRAMS_ALLOW'>;
  requestedMode: string;
  bootEnv: Observed<BootEnv | undefined>;
}

/**
 * Searches for foreign programs, only if the host made the disk of the root file system read-only: otherwise every program
 * would be one.
 * @param listed the maximum length of the list
 * @returns undefined if the search is switched off, or the host did not make the disk under / read-only
 * @throws SystemError if the block devices could not be read, or the processes cannot be listed
 */
export async function readForeignPrograms(
  { reader, mounts, config, requestedMode, bootEnv }: SearchedGuest,
  blockDevices: Observed<BlockDevice[]>,
  listed?: number,
): Promise<ForeignPrograms | undefined> {
  if (config.FOREIGN_PROGRAMS === 'off' || requestedMode === 'off') return undefined;
  const sealed = findSealedDevices(unwrap(blockDevices));
  if (!sealed.has(mounts.serving('/')?.device ?? '')) return undefined;
  const allowed = words(config.FOREIGN_PROGRAMS_ALLOW);
  return findForeignPrograms(reader, mounts, { sealed, allowed, initramfs: valueOf(bootEnv), listed });
}

/**
 * Examines every process. Kernel threads and zombies have no memory and are left out, as is anonymous memory, in which a
 * process can execute code that comes from no file.
 * @throws SystemError if the processes cannot be listed
 */
export async function findForeignPrograms(
  reader: SystemReader,
  mounts: MountTable,
  options: ProgramOptions,
): Promise<ForeignPrograms> {
  const pids = reader.processes.list();
  const found = (await reader.processes.mappedFiles(pids)) ?? { ...none, rest: pids };
  const unreadable = await findUnreadable(reader, found.rest);
  const examined = examineAll(
    { reader, mounts, ...options, memory: found.memory, verifyTime: timeLimit() },
    found,
    new Map([...found.unreadable, ...unreadable]),
  );
  const { sealedOnly, others, unexamined } = examined;
  const isOfInitramfs = initramfsTest(reader, options.initramfs);
  const foreign = others.flatMap(({ pid, files }) => {
    const [first, ...others] = files.filter((file) => !isOfInitramfs(pid, file));
    return first === undefined ? [] : [{ pid, first, otherFiles: others.length }];
  });
  const shown = foreign.slice(0, options.listed ?? listedByDefault);
  const describe = await processDescriber(
    reader,
    mounts,
    shown.map(({ pid }) => pid),
  );
  const sessionOf = sessionFinder(reader);
  const list = shown.map(({ pid, first: { path, role, ...file }, otherFiles }) => {
    const session = sessionOf(pid);
    const origin: Origin =
      session !== undefined
        ? { why: 'session', reason: `in session ${session.id} of ${session.user}` }
        : originOf({ path, ...file }, mounts);
    return { pid, path: decodeBytes(path), role, ...origin, otherFiles, ...describe(pid) };
  });
  return { list, count: foreign.length, examined: sealedOnly.length + others.length, unexamined };
}

/** Returns a function that throws if the time to examine all processes is over. */
function timeLimit(): () => void {
  const began = monotonicMilliseconds();
  return () => {
    if (monotonicMilliseconds() - began > maximumTime)
      throw new Error(`no time left after ${maximumTime} ms`);
  };
}

/** Finds the processes that readForeignFiles must not read, with the reason for each. */
async function findUnreadable(
  { processes }: SystemReader,
  pids: readonly number[],
): Promise<Map<number, string>> {
  const verifyTime = timeLimit();
  const unreadable = new Map<number, string>();
  const threads = new Map<number, number>();
  for (const pid of pids) {
    try {
      const thread = processes.threadWithMemory(pid, verifyTime);
      if (thread !== undefined) threads.set(thread, pid);
    } catch (error) {
      unreadable.set(pid, errorMessage(error));
    }
  }
  for (const [thread, reason] of await processes.silent([...threads.keys()], 'maps'))
    unreadable.set(threads.get(thread) ?? thread, reason);
  return unreadable;
}

interface Examined {
  /** The processes with memory that run only files of the sealed disk. */
  sealedOnly: number[];
  /** The other processes, in ascending order of their ID; for each, the files that did not come from the sealed disk. */
  others: { pid: number; files: ForeignFile[] }[];
  unexamined: ForeignPrograms['unexamined'];
}

/**
 * Many processes have the same files, so that a group of processes with only files on the sealed disk is examined once.
 * @param failed the processes that cannot or must not be read, with the reason for each
 */
function examineAll(
  context: Context,
  { groups, addresses, rest }: MappedFiles,
  failed: ReadonlyMap<number, string>,
): Examined {
  const sealedOnly: number[] = [];
  const others: Examined['others'] = [];
  const unexamined = [...failed].map(([pid, reason]) => ({ pid, reason }));
  const examine = (pid: number, filesOf: () => ForeignFile[] | undefined) => {
    try {
      context.verifyTime();
      const files = filesOf();
      if (files?.length === 0) sealedOnly.push(pid);
      else if (files !== undefined) others.push({ pid, files });
    } catch (error) {
      unexamined.push({ pid, reason: errorMessage(error) });
    }
  };
  for (const group of groups) {
    if (isProven(context, group)) sealedOnly.push(...group.pids);
    else {
      for (const pid of group.pids)
        examine(pid, () => foreignFilesOf(context, pid, group, addresses.get(pid) ?? ''));
    }
  }
  for (const pid of rest) if (!failed.has(pid)) examine(pid, () => readForeignFiles(context, pid));
  // With hidepid=, /proc lists only the processes of the user (proc(5)).
  const isSeen = sealedOnly.includes(1) || [...others, ...unexamined].some(({ pid }) => pid === 1);
  if (!isSeen) unexamined.push({ pid: 1, reason: 'not visible in /proc' });
  const byPid = (one: { pid: number }, other: { pid: number }) => one.pid - other.pid;
  return { sealedOnly, others: others.sort(byPid), unexamined: unexamined.sort(byPid) };
}

/** What the initramfs recorded just before the switch to the real root. */
type InitramfsRecord = Pick<BootEnv, 'initramfs' | 'uptime'>;

/**
 * Returns a function that decides whether a file of a process came from the initramfs, as the programs of plymouthd and
 * of daemons for storage do. Switching to the real root deletes these files. The file must be on the file system of the
 * initramfs, and the process must have started before the initramfs recorded this, because root can create and execute
 * such a file later, by way of the root directory of a process of the initramfs. Nothing can change the start time.
 * @param record undefined if the initramfs recorded nothing; then no file is accepted
 */
function initramfsTest(
  reader: SystemReader,
  record: InitramfsRecord | undefined,
): (pid: number, file: MappedFile) => boolean {
  const last = Math.round((record?.uptime ?? 0) * ticksPerSecond);
  const start = (pid: number) =>
    unlessSystemError(() => startTicks(reader.processes.read(pid, 'stat', 65536) ?? '')) ?? Infinity;
  return (pid, { path, device }) =>
    // PID 1 itself started in the initramfs and then executed the program of the sealed disk.
    pid !== 1 && device === record?.initramfs && path.endsWith(deletedSuffix) && start(pid) <= last;
}

/** Returns the devices ("major:minor") of which the host made every disk read-only. */
export function findSealedDevices(devices: readonly BlockDevice[]): ReadonlySet<string> {
  const sealed = devices.filter(({ hostReadOnly }) => hostReadOnly === true);
  return new Set(sealed.map(({ device }) => device));
}
