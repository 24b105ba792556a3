/** Directories that are opened component by component, and what is in them. */
import { unless } from '../../agent/lib/errors.ts';
import type { Native } from './native.ts';
import { refuse } from './refusal.ts';

const [kindBits, linkKind, directoryKind] = [0o170000, 0o120000, 0o040000];

/** What is at a name in a directory. */
export interface Described {
  isLink: boolean;
  isDirectory: boolean;
  /** The bits of chmod(2). */
  mode: number;
  user: number;
  group: number;
  /** What the file is, also after a rename. */
  identity: string;
}

/** @param name a name in the directory; empty for the directory itself */
export function describe(native: Native, directory: number, name: string): Described | undefined {
  const text = native.describe(directory, name);
  if (text === undefined) return undefined;
  const [mode = '', user = '', group = '', ...identity] = text.split(' ');
  const kind = Number(mode) & kindBits;
  return {
    ...{ isLink: kind === linkKind, isDirectory: kind === directoryKind, mode: Number(mode) & 0o7777 },
    ...{ user: Number(user), group: Number(group), identity: identity.join(' ') },
  };
}

/**
 * Opens a directory, component by component, without following a symbolic link, so that the owner of a directory above cannot
 * replace it afterwards.
 * @returns the descriptor; undefined if there is no such directory
 * @throws Refused if something else than a directory is on the path
 */
export function openDirectory(native: Native, path: string): number | undefined {
  let directory = native.openAt(-1, '/');
  for (const [name, whole] of componentsOf(path)) {
    const found = using(native, directory, () => openIn(native, directory, name, whole));
    if (found === undefined) return undefined;
    directory = found;
  }
  return directory;
}

/** Opens a directory in a directory. @param whole its path, for messages */
export function openIn(native: Native, directory: number, name: string, whole: string): number | undefined {
  const found = unless(
    () => true,
    () => native.openAt(directory, name),
  );
  if (found !== undefined) return found;
  const present = describe(native, directory, name);
  if (present === undefined) return undefined;
  if (present.isDirectory) return refuse(`${whole} cannot be opened`, 'See dmesg.');
  return refuse(`${whole} is ${present.isLink ? 'a symbolic link' : 'not a directory'}`, changedInBoot);
}

/** Runs an action with an open directory, and closes it. */
export function using<T>(native: Native, directory: number, action: (directory: number) => T): T {
  try {
    return action(directory);
  } finally {
    native.close(directory);
  }
}

/** Opens a directory that was there. */
export function reopen(native: Native, path: string): number {
  return openDirectory(native, path) ?? refuse(`${path} does not exist`, changedInBoot);
}

export const changedInBoot = 'Find out what changed the path during the boot, and see dmesg.';

/** Returns the components of a path, each with the path that ends with it. */
export function componentsOf(path: string): (readonly [name: string, whole: string])[] {
  const names = path.split('/').filter((name) => name !== '');
  return names.map((name, index) => [name, `/${names.slice(0, index + 1).join('/')}`]);
}

/** Makes a directory with a mode, and the missing directories above it, which only root can write to. */
export function makeDirectories(native: Native, path: string, mode = 0o755): void {
  let directory = native.openAt(-1, '/');
  for (const [name, whole] of componentsOf(path)) {
    directory = using(native, directory, (above) => {
      if (native.describe(above, name) === undefined)
        native.makeDirectoryAt(above, name, whole === path ? mode : 0o755);
      return native.openAt(above, name);
    });
  }
  native.close(directory);
}
