import { errorMessage } from '../../../lib/errors.ts';
import { decodeBytes } from '../../../lib/format.ts';
import type { MappedFiles } from '../../../system/mapped-files.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { MountTable } from '../../mounts/mountinfo.ts';
import {
  type Context,
  type ForeignFile,
  foreignFilesOf,
  isProven,
  readForeignFiles,
} from './foreign-files.ts';
import { type InitramfsRecord, initramfsTest } from './initramfs-processes.ts';
import { type Origin, closureOrigin, originOf } from './origin.ts';
import { type ProcessDetails, processDescriber } from './process-details.ts';

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

export interface ProgramOptions extends Pick<Context, 'sealed' | 'allowed'> {
  /** Undefined if there is no record of this boot. */
  initramfs?: InitramfsRecord | undefined;
  /** The maximum length of the list; 100 by default. */
  listed?: number;
}

const listedByDefault = 100;
/** Without read-mappings, the devices of anonymous memory are unknown, and a mapping of it counts as a foreign file. */
const none: MappedFiles = {
  ...{ groups: [], addresses: new Map(), unreadable: new Map(), rest: [], memory: new Set() },
};
/** Upper bound on the time to examine all processes, in milliseconds. */
const maximumTime = 3000;

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
  const silent = await reader.processes.silent(found.rest, 'maps');
  const began = performance.now();
  const verifyTime = () => {
    if (performance.now() - began > maximumTime) throw new Error(`no time left after ${maximumTime} ms`);
  };
  const examined = examineAll(
    { reader, mounts, ...options, memory: found.memory, verifyTime },
    found,
    new Map([...found.unreadable, ...silent]),
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
  const list = shown.map(({ pid, first: { path, role, isClosure, ...file }, otherFiles }) => {
    const origin = isClosure ? closureOrigin : originOf({ path, ...file }, mounts);
    return { pid, path: decodeBytes(path), role, ...origin, otherFiles, ...describe(pid) };
  });
  return { list, count: foreign.length, examined: sealedOnly.length + others.length, unexamined };
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
