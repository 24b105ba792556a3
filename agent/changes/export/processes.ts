import { unlessSystemError } from '../../lib/errors.ts';
import { decodeBytes } from '../../lib/format.ts';
import { readDisks, readGuest } from '../../facts/guest.ts';
import { observeAsync } from '../../facts/observed.ts';
import { readForeignPrograms } from '../../facts/security/programs/foreign-programs.ts';
import type { ForeignProgram } from '../../facts/security/programs/foreign-programs.ts';
import { startTicks } from '../../facts/security/programs/process-details.ts';
import { type ProcessEntry, describeProcesses } from '../../system/layers/process-list.ts';
import type { TarWriter } from '../../system/layers/tar-writer.ts';
import type { SystemReader } from '../../system/reader.ts';
import { jsonLine } from '../json.ts';
import { type Part, partsWriter } from './files.ts';

/**
 * The mark of a process: the file that did not come from the sealed disk, and why; `false` if all its files did; `null`
 * if that is unknown.
 */
type Mark = Pick<ForeignProgram, 'path' | 'role' | 'why' | 'reason' | 'otherFiles'> | false | null;

const statLimit = 4096;

/**
 * Writes the list of processes, in which each process that runs a file which did not come from the sealed disk is
 * marked, as the check foreign-programs finds it.
 * @param problem receives what is unknown
 */
export async function writeProcesses(
  reader: SystemReader,
  tar: TarWriter,
  problem: (text: string) => void,
): Promise<Part[]> {
  const startedBefore = startTimes(reader);
  const markOf = await findMarks(reader, problem);
  const silent = await reader.processes.silent(reader.processes.list(), 'maps');
  const parts = partsWriter(tar, 'processes', 'ndjson', () => reader.now());
  for (const [pid, reason] of silent) {
    problem(`process ${pid} is not described: ${reason}`);
    await parts.add(Buffer.from(jsonLine({ pid, unreadable: reason, foreign: null })));
  }
  let hidden = 0;
  const pids = reader.processes.list().filter((pid) => !silent.has(pid));
  for await (const each of describeProcesses(pids)) {
    if (each.command === undefined) hidden += 1;
    // A process that started later, perhaps with the ID of one that has exited, was not examined.
    const isSame = startedBefore.get(each.pid) === Number(each.started);
    await parts.add(Buffer.from(jsonLine({ ...describe(each), foreign: isSame ? markOf(each.pid) : null })));
  }
  if (hidden > 0) problem(`the arguments of ${hidden} processes could not be read in time`);
  return parts.end();
}

function describe({ executable, command, status, cgroup, ...rest }: ProcessEntry): object {
  return {
    ...rest,
    status: Object.fromEntries(Object.entries(status).map(([key, value]) => [key, decodeBytes(value)])),
    cgroup: decodeBytes(cgroup),
    command: command?.map(decodeBytes) ?? null,
    executable: executable === undefined ? null : decodeBytes(executable),
  };
}

/** Returns the time at which each process started, in clock ticks since boot. */
function startTimes({ processes }: SystemReader): Map<number, number | undefined> {
  return new Map(
    processes.list().map((pid) => {
      const stat = unlessSystemError(() => processes.read(pid, 'stat', statLimit)) ?? '';
      return [pid, startTicks(stat)];
    }),
  );
}

async function findMarks(
  reader: SystemReader,
  problem: (text: string) => void,
): Promise<(pid: number) => Mark> {
  const guest = readGuest(reader);
  const { blockDevices } = readDisks(guest);
  const found = await observeAsync(() => readForeignPrograms(guest, blockDevices, Infinity));
  if (!('value' in found)) {
    problem(`foreign programs are not marked: ${found.error}`);
    return () => null;
  }
  const { value: programs } = found;
  // Nothing is sealed, or FOREIGN_PROGRAMS=off.
  if (programs === undefined) return () => null;
  const marks = new Map<number, Mark>(programs.unexamined.map(({ pid }) => [pid, null]));
  for (const { pid, path, role, why, reason, otherFiles } of programs.list) {
    marks.set(pid, { path, role, why, reason, otherFiles });
  }
  if (programs.unexamined.length > 0)
    problem(
      `foreign programs are not marked among ${programs.unexamined.length} processes that could not be examined`,
    );
  return (pid) => {
    const mark = marks.get(pid);
    return mark === undefined ? false : mark;
  };
}
