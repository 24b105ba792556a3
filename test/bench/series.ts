import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTemporaryDirectory } from '../harness/temporary.ts';

/** The measurements of one command, one value per run. */
export interface Series {
  milliseconds: number[];
  /** The peak resident memory. The first runs are repeated to measure it. */
  kibibytes: number[];
  /** The CPU time (user and system), in milliseconds. The first runs are repeated to measure it. */
  processor: number[];
  /** The number of processes that a run starts, without threads. */
  processes: number;
}

const runs = { warmUp: 3, timed: 40, sized: 9 };

/** Runs commands alternately, so that other load on the machine affects all commands equally. */
function measure(commands: string[][]): Series[] {
  const series = commands.map((command) => ({
    processes: countProcesses(command),
    milliseconds: [] as number[],
    kibibytes: [] as number[],
    processor: [] as number[],
  }));
  for (let turn = -runs.warmUp; turn < runs.timed; turn++) {
    for (const [index, command] of commands.entries()) {
      const time = wallTime(command);
      if (turn < 0) continue;
      series[index]?.milliseconds.push(time);
      if (turn >= runs.sized) continue;
      series[index]?.kibibytes.push(peakMemory(command));
      series[index]?.processor.push(processorTime(command));
    }
  }
  return series;
}

function wallTime(command: string[]): number {
  const start = performance.now();
  run(command);
  return performance.now() - start;
}

/** Returns the CPU time in milliseconds. bash prints milliseconds (getrusage(2)), but time(1) only 10 ms steps. */
function processorTime(command: string[]): number {
  const bash = ['bash', '-c', 'TIMEFORMAT=\'%3U %3S\'; time "$@" 2>/dev/null', 'bash'];
  const [user, system] = run([...bash, ...command])
    .trim()
    .split(' ')
    .map(Number);
  if (!Number.isFinite(user) || !Number.isFinite(system)) throw new Error('bash has no times');
  return (Number(user) + Number(system)) * 1000;
}

/**
 * Returns the peak resident memory in KiB, which includes the memory of the process before its exec (getrusage(2),
 * ru_maxrss). Therefore, the command is started by time(1), which is small.
 */
function peakMemory(command: string[]): number {
  const last =
    run(['time', '--format', '%M', ...command])
      .trimEnd()
      .split('\n')
      .at(-1) ?? '';
  if (!/^\d+$/.test(last)) throw new Error(`time said ${last}`);
  return Number(last);
}

/** Counts the processes that a command starts. @throws if strace(1) did not report the command's own execve */
function countProcesses(command: string[]): number {
  return inTemporaryDirectory((folder) => {
    const file = join(folder, 'trace');
    run(['strace', '-f', '-o', file, '-e', 'trace=execve,fork,vfork,clone,clone3', ...command]);
    const calls = readFileSync(file, 'utf8').split('\n');
    if (!calls.some((call) => call.includes('execve('))) throw new Error(`strace saw ${calls.length} lines`);
    return calls.filter((call) => /\b(v?fork|clone3?)\(/.test(call) && !call.includes('CLONE_THREAD')).length;
  });
}

/** Runs a program. Ignores its exit code, which is a verdict on this machine. @returns the program's stderr */
function run([program = '', ...args]: string[]): string {
  const { error, signal, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (error) throw error;
  if (signal !== null) throw new Error(`${program} ended by ${signal}: ${stderr}`);
  return stderr;
}

const commands = JSON.parse(process.argv[2] ?? '[]') as string[][];
process.stdout.write(JSON.stringify(measure(commands)));
