import { unlessAbsent, unlessSystemError } from '../lib/errors.ts';

interface Lister {
  list: (directory: string) => string[];
}

/** Lists a directory. One that does not exist has no entries. @throws every other error */
export function namesIfThere(reader: Lister, directory: string): string[] {
  return unlessAbsent(() => reader.list(directory)) ?? [];
}

/** Lists a directory. One that cannot be read, for whatever reason, has no entries. */
export function namesIfReadable(reader: Lister, directory: string): string[] {
  return unlessSystemError(() => reader.list(directory)) ?? [];
}
