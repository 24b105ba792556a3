import type { ChildProcess, ChildProcessByStdio, SpawnOptions } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { SystemError, errorCode, errorMessage } from '../lib/errors.ts';

/** Returns node:child_process, which is loaded only when a program is started, because that takes a fifth of a short command. */
export const childProcess = () => process.getBuiltinModule('node:child_process');

type Stdio = 'ignore' | 'pipe';

/** A child, whose stdout is a pipe. */
export type Child<In extends Stdio, Err extends Stdio> = ChildProcessByStdio<
  In extends 'pipe' ? Writable : null,
  Readable,
  Err extends 'pipe' ? Readable : null
>;

/**
 * Starts a program. Every child process of the agent that runs beside it is started here or by execa (exec.ts), because
 * spawn reports a lack of resources in three ways: without a free file descriptor it returns a child without streams
 * and emits `error` later, which ends the process if nothing listens; without memory it throws; otherwise it emits
 * `error`.
 * @returns the child, which emits `error` if the program cannot be executed. The caller must listen for it.
 * @throws SystemError if there is no free file descriptor, or no memory, for a process
 */
export function startChild<In extends Stdio, Err extends Stdio>(
  program: string,
  args: readonly string[],
  options: SpawnOptions & { stdio: [In, 'pipe', Err] },
): Child<In, Err> {
  let child: ChildProcess;
  try {
    child = childProcess().spawn(program, args, options);
  } catch (error) {
    throw new SystemError(`${program}: ${errorMessage(error)}`, errorCode(error));
  }
  // Without a file descriptor, stdout is undefined, although the type has only null.
  if (child.stdout) return child as Child<In, Err>;
  child.on('error', () => undefined);
  throw new SystemError(`${program}: not started, because no file descriptor is free`, 'EMFILE');
}

/** More than the pipes and the descriptors that spawn opens for a child. */
const neededDescriptors = 16;

/**
 * Verifies that a program can be started with pipes. To be called directly before execa, which ends this process if spawn
 * returns a child without streams.
 * @throws SystemError if too few file descriptors are free
 */
export function requireDescriptors(program: string): void {
  const opened: number[] = [];
  try {
    while (opened.length < neededDescriptors) opened.push(fs.openSync('/dev/null', 'r'));
  } catch (error) {
    throw new SystemError(`${program}: not started, because no file descriptor is free`, errorCode(error));
  } finally {
    for (const descriptor of opened) fs.closeSync(descriptor);
  }
}

/**
 * Runs a program with the terminal, the environment and the streams of this process, and waits until it exits. The kernel
 * sends SIGINT and SIGQUIT of the terminal to both; only the program acts on them.
 * @param variables are added to the environment
 * @returns the exit code; 128 plus the number of the signal that ended the program
 * @throws SystemError if the program cannot be started
 */
export async function runOnTerminal(
  program: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<number> {
  const ignore = () => undefined;
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, ignore);
  const child = childProcess().spawn(program, args, {
    stdio: 'inherit',
    cwd: '/',
    env: { ...process.env, ...variables },
  });
  return new Promise((resolve, reject) => {
    child.on('error', (error) =>
      reject(new SystemError(`${program}: ${errorMessage(error)}`, errorCode(error))),
    );
    child.on('exit', (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : os.constants.signals[signal])),
    );
  });
}
