/** An error in the command line or the configuration. The program prints one line to stderr and exits with 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** A failed access to the system. If the program cannot continue without the result, it exits with 3. */
export class SystemError extends Error {
  override name = 'SystemError';
  /** The error code (the name of errno), such as ENOENT or EROFS; empty if there is none. */
  readonly code: string;

  constructor(message: string, code = '') {
    super(message);
    this.code = code;
  }
}

/** Returns the error code (the name of errno, or a code that Node defines); empty if there is none. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

export function errorMessage(error: unknown): string {
  // The error has no message if the connection to every address of a host name failed.
  if (error instanceof AggregateError && error.message === '')
    return [...new Set(error.errors.map(errorMessage))].join(', ');
  return error instanceof Error ? error.message : String(error);
}

/** Whether an error means that a file, or a directory in its path, does not exist. */
export const isAbsent = hasCode('ENOENT', 'ENOTDIR');

/** Returns a function that tells whether an error has one of these codes. */
export function hasCode(...codes: string[]): (error: unknown) => boolean {
  return (error) => codes.includes(errorCode(error));
}

/** Runs an action. @returns undefined if it throws an expected error; every other error is thrown */
export function unless<T>(isExpected: (error: unknown) => boolean, action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (isExpected(error)) return undefined;
    throw error;
  }
}

/** Runs an action. @returns undefined if a file or directory is absent; every other error is thrown */
export const unlessAbsent = <T>(action: () => T): T | undefined => unless(isAbsent, action);

/** Runs an action. @returns undefined if it throws a SystemError; every other error is thrown */
export const unlessSystemError = <T>(action: () => T): T | undefined =>
  unless((error) => error instanceof SystemError, action);

/**
 * Runs an action on a file.
 * @throws SystemError "FILE: reason" with the error code; a SystemError from the action is thrown unchanged
 */
export function onFile<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw systemError(file, error);
  }
}

/** Like onFile, for an asynchronous action. */
export async function onFileLater<T>(file: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw systemError(file, error);
  }
}

function systemError(file: string, error: unknown): SystemError {
  return error instanceof SystemError
    ? error
    : new SystemError(`${file}: ${reason(error)}`, errorCode(error));
}

/**
 * Returns Node's message ("ENOENT: no such file or directory, open '/x'") without the code, the system call and the
 * path. Does not use regular expressions, because V8 interprets them (--jitless) and many files are absent in a run.
 */
function reason(error: unknown): string {
  const message = errorMessage(error);
  const code = errorCode(error);
  if (code === '' || !message.startsWith(`${code}: `)) return message;
  const call =
    error instanceof Error && 'syscall' in error ? message.indexOf(`, ${String(error.syscall)}`) : -1;
  return message.slice(code.length + 2, call === -1 ? undefined : call);
}
