/** The command line or the configuration is wrong: exit code 2, one line on stderr. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** A call of the system failed. Where the program cannot go on without the answer, the exit code is 3. */
export class HostError extends Error {
  override name = 'HostError';
  /** errno's name, such as ENOENT or EROFS; empty if there is none. */
  readonly code: string;

  constructor(message: string, code = '') {
    super(message);
    this.code = code;
  }
}

/** @returns errno's name, or another code that Node gives; empty if there is none */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

export function errorMessage(error: unknown): string {
  // Node gives no message if a connection failed at every address of a name.
  if (error instanceof AggregateError && error.message === '')
    return [...new Set(error.errors.map(errorMessage))].join(', ');
  return error instanceof Error ? error.message : String(error);
}

/** Whether an error says that a file, or a folder on its path, does not exist. */
export function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(errorCode(error));
}

/**
 * Runs an action on a file.
 * @throws HostError "FILE: reason" with errno's name; a HostError of the action as it is
 */
export function onFile<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw hostError(file, error);
  }
}

/** As onFile. */
export async function onFileLater<T>(file: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw hostError(file, error);
  }
}

function hostError(file: string, error: unknown): HostError {
  return error instanceof HostError ? error : new HostError(`${file}: ${reason(error)}`, errorCode(error));
}

/**
 * Node's "ENOENT: no such file or directory, open '/x'" without the code, the call and the path. Without regular
 * expressions: many files are absent in a run, and V8 interprets them (--jitless).
 */
function reason(error: unknown): string {
  const message = errorMessage(error);
  const code = errorCode(error);
  if (code === '' || !message.startsWith(`${code}: `)) return message;
  const call =
    error instanceof Error && 'syscall' in error ? message.indexOf(`, ${String(error.syscall)}`) : -1;
  return message.slice(code.length + 2, call === -1 ? undefined : call);
}
