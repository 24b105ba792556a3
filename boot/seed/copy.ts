import { seedCopy, seedDirectory, seedMostBytes } from '../../agent/facts/boot/seed-files.ts';
import { errorCode, errorMessage, hasCode } from '../../agent/lib/errors.ts';
import { flagsOf } from '../guest/mount.ts';
import { describe, makeDirectories, openIn, reopen, using } from '../native/directories.ts';
import type { Native } from '../native/native.ts';
import { refuse } from '../native/refusal.ts';

/** A file of the copy. */
export interface Copied {
  name: string;
  sha256: string;
}

const flags = flagsOf('ro,nosuid,nodev,noexec');
const mountPoint = `${seedDirectory}/mount`;

/**
 * Runs an action with the open top directory of a seed. No path leads to the seed while it is mounted.
 * @param file the device, open
 * @throws Refused
 */
export function withMountedSeed<T>(
  native: Native,
  file: number,
  type: string,
  action: (seed: number) => T,
): T {
  makeDirectories(native, seedDirectory, 0o700);
  makeDirectories(native, mountPoint, 0o700);
  using(native, reopen(native, mountPoint), (directory) => {
    try {
      native.mountAt(directory, `/proc/self/fd/${file}`, type, flags, '');
    } catch (error) {
      if (errorCode(error) === '') throw error;
      refuse(`mount failed: ${errorMessage(error)}`, '');
    }
  });
  let seed = -1;
  try {
    seed = reopen(native, mountPoint);
  } finally {
    native.detach(mountPoint);
  }
  return using(native, seed, action);
}

/** Opens a directory of the seed; undefined if there is none. @throws Refused for something else of this name */
export function openInSeed(native: Native, seed: number, name: string): number | undefined {
  return openIn(native, seed, name, `${name} of the seed`);
}

const standard = ['meta-data', 'network-config', 'user-data', 'vendor-data'];

/** Copies the files for cloud-init. @param device the kernel name @throws Refused */
export function copyStandardFiles(native: Native, device: string, seed: number): Copied[] {
  makeDirectories(native, seedCopy, 0o700);
  const copied = standard
    .filter((name) => describe(native, seed, name) !== undefined)
    .map((name) => copySeedFile(native, seed, name, seedCopy, name));
  for (const needed of ['meta-data', 'user-data'])
    if (!copied.some(({ name }) => name === needed)) refuse(`${device} has no file ${needed}`, '');
  const text = using(native, reopen(native, seedCopy), (directory) =>
    native.readAt(directory, 'meta-data', seedMostBytes),
  );
  // cloud-init would read the data from there.
  if (text.includes('seedfrom')) refuse(`meta-data on ${device} names another source (seedfrom)`, '');
  return copied;
}

/** Copies a regular file of limited size. @param shown its path in the seed, for messages @throws Refused */
export function copySeedFile(native: Native, from: number, name: string, to: string, shown: string): Copied {
  try {
    const sha256 = using(native, reopen(native, to), (directory) =>
      native.copyFile(from, name, directory, name, 0o600, seedMostBytes),
    );
    return { name, sha256 };
  } catch (error) {
    if (hasCode('ENOEXEC')(error)) return refuse(`${shown} of the seed is not a file`, '');
    if (hasCode('EFBIG')(error))
      return refuse(`${shown} of the seed is larger than ${seedMostBytes} bytes`, '');
    if (errorCode(error) === '') throw error;
    return refuse(`${shown} of the seed cannot be copied: ${errorMessage(error)}`, '');
  }
}
