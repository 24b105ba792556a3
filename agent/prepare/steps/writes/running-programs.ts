import path from 'node:path';
import { observe } from '../../../facts/observed.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { nameOf, otherProcesses, readableProcesses } from '../processes.ts';

/** A process and the file from which it runs: its program or, for an interpreter, its script. */
export interface RunningProgram {
  /** One character per byte (latin1). */
  file: string;
  /** "agentd (812)" */
  who: string;
}

export interface RunningPrograms {
  programs: RunningProgram[];
  /** The processes that could not be examined, each with the reason. */
  unexamined: string[];
}

const interpreters = /^(python|perl|ruby|node|java|php|lua|tclsh|bash|dash|ksh|sh)[\d.]*$/;

/** Lists what other processes run. Kernel threads have no program. */
export async function findRunningPrograms(reader: SystemReader): Promise<RunningPrograms> {
  const { pids, argumentsOf, unexamined } = await readableProcesses(reader, otherProcesses(reader));
  const programs = pids.flatMap((pid) => {
    const program = observe(() => reader.processes.link(pid, 'exe'));
    if (!('value' in program)) {
      unexamined.push(`process ${pid}: ${program.error}`);
      return [];
    }
    if (program.value === undefined) return [];
    const isInterpreter = interpreters.test(path.basename(program.value));
    const script = isInterpreter ? interpretedScript(argumentsOf(pid)) : undefined;
    return [program.value, ...(script === undefined ? [] : [script])].map((file) => ({
      file,
      who: nameOf(reader, pid),
    }));
  });
  return { programs, unexamined };
}

/** Returns the first argument that is no option, if it is an absolute path (/opt/agent/run.py). */
function interpretedScript(words: readonly string[] = []): string | undefined {
  const first = words.slice(1).find((each) => !each.startsWith('-'));
  return first?.startsWith('/') === true ? first : undefined;
}

/** Returns the processes that run from a directory. */
export function runningFrom(programs: readonly RunningProgram[], directory: string): string[] {
  return [...new Set(programs.filter(({ file }) => isBelow(file, directory)).map(({ who }) => who))];
}
