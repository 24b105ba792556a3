import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { running, until } from './until.ts';

/** A program that a test runs beside itself. */
export interface Program {
  name: string;
  process: ChildProcess;
  pid: number;
  /** What it wrote to stderr and stdout. */
  said: () => string;
  signal: (name: NodeJS.Signals) => void;
  /** @returns its exit code, null where a signal ended it */
  ended: Promise<number | null>;
  /** SIGTERM, then SIGKILL after so many seconds. */
  stop: (seconds?: number) => Promise<number | null>;
  kill: () => Promise<void>;
}

const programs = new Set<Program>();

export function start(command: string, args: string[], stdin: 'ignore' | 'pipe' = 'ignore'): Program {
  const child = spawn(command, args, { stdio: [stdin, 'pipe', 'pipe'] });
  let said = '';
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-100_000);
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
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
    said: () => said,
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

/** Ends what is left of a test. */
export async function endAll(): Promise<void> {
  await Promise.all([...programs].map((program) => program.kill()));
}

/** Until somebody listens on a TCP port of the loopback (state 0A in /proc/net/tcp and tcp6). */
export async function listening(port: number): Promise<void> {
  const wanted = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} \\S+ 0A `);
  await until(`port ${port}`, () =>
    ['/proc/net/tcp', '/proc/net/tcp6'].some(
      (file) => fs.existsSync(file) && wanted.test(fs.readFileSync(file, 'utf8')),
    ),
  );
}

/** In MiB, the most that a process ever had. */
export function peakMemory(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** In MiB, what a process has now. */
export function memory(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** Seconds of processor time of a process, without its children. */
export function cpuSeconds(pid: number): number {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
