import { spawn } from 'node:child_process';
import { readdirSync, readlinkSync } from 'node:fs';
import { buildPrograms, buildSealedStatus, inRuntime, seriesOf } from './programs.ts';
import type { Result } from './run.ts';
import type { Series } from './series.ts';
import { median, figure } from './table.ts';

/** The number of processes, and the commands of which there are as many each: one with few libraries, one with more. */
const processes = 300;
const running = [
  ['sleep', '600'],
  ['python3', '-c', 'import ssl, sqlite3, time; time.sleep(600)'],
];

/** Compares `immutafs-agent status` and `version` with an empty program that is built in the same way. */
export async function status(): Promise<Result> {
  const { agent, empty } = await buildPrograms();
  const [ours, control, version] = await inRuntime<[Series, Series, Series]>(
    seriesOf([[agent, 'status'], [empty], [agent, 'version']]),
  );
  const [off, on] = await withProcesses(measureSealed);
  return {
    about: `medians of ${ours.milliseconds.length} interleaved runs on this machine; processes by strace`,
    control: 'empty program',
    figures: [
      figure('wall time', 'ms', median(ours.milliseconds), median(control.milliseconds), {
        of: 'ratio',
        atMost: 1.5,
      }),
      figure('peak RSS', 'MiB', median(ours.kibibytes) / 1024, median(control.kibibytes) / 1024, {
        of: 'value',
        atMost: 70,
      }),
      figure('CPU time of version', 'ms', median(version.processor), median(control.processor), {
        of: 'ratio',
        atMost: 1.7,
      }),
      // About half of the difference is the time in which Node.js loads and starts a child process.
      figure('CPU time (control: version)', 'ms', median(ours.processor), median(version.processor), {
        of: 'ratio',
        atMost: 1.2,
      }),
      // One child process is required, because a write to a frozen file system hangs.
      figure('processes started', '', ours.processes, control.processes, { of: 'value', atMost: 1 }),
      figure(
        `CPU time with ${processes} processes (control: FOREIGN_PROGRAMS=off)`,
        'ms',
        median(on.processor),
        median(off.processor),
        { of: 'difference', atMost: 20 },
      ),
    ],
  };
}

/**
 * Measures a clean guest: a program that this machine itself runs from memory is allowed, because a process that runs a
 * foreign program is described, which takes a few milliseconds more.
 */
async function measureSealed(): Promise<[Series, Series]> {
  const sealed = await buildSealedStatus();
  const allowed = programsInMemory().join(' ');
  return inRuntime(seriesOf(['off', 'warn'].map((programs) => [sealed, programs, allowed])));
}

/** Returns the programs that processes of this machine run from a memfd (memfd_create(2)), as FOREIGN_PROGRAMS_ALLOW has them. */
function programsInMemory(): string[] {
  const paths = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => executableOf(pid))
    .filter((path) => path.startsWith('/memfd:'));
  return [...new Set(paths.map((path) => path.replace(/ \(deleted\)$/, '')))];
}

/** @returns the path of the program; empty for a kernel thread and for a process that has exited */
function executableOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return '';
  }
}

async function withProcesses<T>(measure: () => Promise<T>): Promise<T> {
  const children = Array.from({ length: processes }, (_, index) => {
    const [program = '', ...args] = running[index % running.length] ?? [];
    return spawn(program, args, { stdio: 'ignore' });
  });
  try {
    // The programs of the processes load their libraries.
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    return await measure();
  } finally {
    for (const child of children) child.kill();
  }
}
