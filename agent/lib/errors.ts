/** What the caller asked for makes no sense, or the configuration does not: exit 2, one line on stderr. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** The system did not answer: exit 3 where nothing can be said without it, else the one check is `error`. */
export class HostError extends Error {
  override name = 'HostError';
  /** errno's name, such as ENOENT or EROFS; empty where there is none. */
  readonly code: string;

  constructor(message: string, code = '') {
    super(message);
    this.code = code;
  }
}

export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

export function errorMessage(error: unknown): string {
  // Node has none for a connection that failed at each of a name's addresses.
  if (error instanceof AggregateError && error.message === '')
    return [...new Set(error.errors.map(errorMessage))].join(', ');
  return error instanceof Error ? error.message : String(error);
}
