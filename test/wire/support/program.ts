import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { running, until } from './until.ts';

export interface Program {
  name: string;
  process: ChildProcess;
  pid: number;
  output: () => string;
  signal: (name: NodeJS.Signals) => void;
  /** Resolves to the exit code, or to null if a signal terminated the program. */
  ended: Promise<number | null>;
  /** Sends SIGTERM and, after the given number of seconds, SIGKILL. */
  stop: (seconds?: number) => Promise<number | null>;
  kill: () => Promise<void>;
}

const programs = new Set<Program>();

export function start(command: string, args: string[], stdin: 'ignore' | 'pipe' = 'ignore'): Program {
  const child = spawn(command, args, { stdio: [stdin, 'pipe', 'pipe'] });
  let output = '';
  const append = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-100_000);
  };
  child.stdout?.on('data', append);
  child.stderr?.on('data', append);
  const ended = new Promise<number | null>((resolve) => {
    child.on('exit', (code) => {
      programs.delete(program);
      running.delete(program);
      resolve(code);
    });
  });
  const program: Program = {
    name: `${command} ${args.join(' ')}`,
    process: child,
    pid: child.pid ?? 0,
    output: () => output,
    signal: (name) => void child.kill(name),
    ended,
    stop: async (seconds = 60) => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
      const code = await ended;
      clearTimeout(timer);
      return code;
    },
    kill: async () => {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
      await ended;
    },
  };
  programs.add(program);
  running.add(program);
  return program;
}

export async function endAll(): Promise<void> {
  await Promise.all([...programs].map((program) => program.kill()));
}

/** Waits until a program listens on a TCP port (state 0A in /proc/net/tcp and tcp6). */
export async function listening(port: number): Promise<void> {
  const wanted = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} \\S+ 0A `);
  await until(`port ${port}`, () =>
    ['/proc/net/tcp', '/proc/net/tcp6'].some(
      (file) => fs.existsSync(file) && wanted.test(fs.readFileSync(file, 'utf8')),
    ),
  );
}

/** Returns the peak resident memory of a process, or with VmRSS the present one, in MiB. */
export function peakMemory(pid: number, field: 'VmHWM' | 'VmRSS' = 'VmHWM'): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
}

/**
 * Returns how often the main thread of a process has waited for something (proc_pid_status(5)), and the CPU time of the
 * process in seconds, without its children (proc_pid_stat(5)).
 */
export function activity(pid: number): { waits: number; seconds: number } {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    waits: Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]),
    seconds: (Number(fields[11]) + Number(fields[12])) / 100,
  };
}
