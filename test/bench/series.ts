import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What was measured of one command, run by run. */
export interface Series {
  /** Wall time of each run. */
  milliseconds: number[];
  /** Peak resident memory, of the first runs' repetitions. */
  kibibytes: number[];
  /** Processor time, its own and the kernel's for it, of as many repetitions. */
  processor: number[];
  /** How many processes a run starts beside itself, threads not counted. */
  processes: number;
}

const runs = { warmUp: 3, timed: 40, sized: 9 };

/** Runs commands in turns, so that what else the machine does falls on all alike. */
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

/** Milliseconds by getrusage(2), which bash rounds to one; time(1) has hundredths of a second. */
function processorTime(command: string[]): number {
  const bash = ['bash', '-c', 'TIMEFORMAT=\'%3U %3S\'; time "$@" 2>/dev/null', 'bash'];
  const [user, system] = run([...bash, ...command])
    .trim()
    .split(' ')
    .map(Number);
  if (!Number.isFinite(user) || !Number.isFinite(system)) throw new Error('bash has no times');
  return (Number(user) + Number(system)) * 1000;
}

/** time(1) in between is small: what a process has before its exec counts, too (getrusage(2), ru_maxrss). */
function peakMemory(command: string[]): number {
  const last =
    run(['time', '--format', '%M', ...command])
      .trimEnd()
      .split('\n')
      .at(-1) ?? '';
  if (!/^\d+$/.test(last)) throw new Error(`time said ${last}`);
  return Number(last);
}

/** @throws if strace(1) did not see the command's own execve, the one that is always there */
function countProcesses(command: string[]): number {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const file = join(folder, 'trace');
    run(['strace', '-f', '-o', file, '-e', 'trace=execve,fork,vfork,clone,clone3', ...command]);
    const calls = readFileSync(file, 'utf8').split('\n');
    if (!calls.some((call) => call.includes('execve('))) throw new Error(`strace saw ${calls.length} lines`);
    return calls.filter((call) => /\b(v?fork|clone3?)\(/.test(call) && !call.includes('CLONE_THREAD')).length;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Its exit code is its verdict on this machine, which does not matter here. @returns its stderr */
function run([program = '', ...args]: string[]): string {
  const { error, signal, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (error) throw error;
  if (signal !== null) throw new Error(`${program} ended by ${signal}: ${stderr}`);
  return stderr;
}

const commands = JSON.parse(process.argv[2] ?? '[]') as string[][];
process.stdout.write(JSON.stringify(measure(commands)));
