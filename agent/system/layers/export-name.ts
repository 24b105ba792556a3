import fs from 'node:fs';
import { SystemError, errorCode } from '../../lib/errors.ts';

/** Gives a complete file its name, without replacing a file that was created meanwhile. */
export interface Naming {
  finish(): void;
  abandon(): void;
}

/**
 * Decides before anything is written how the file gets its name: by link(2), which does not replace a file, unlike
 * rename(2). On a file system without hard links (vfat, exFAT, some CIFS), an empty file reserves the name.
 * @param inside returns the path of a name in the directory
 * @param create creates a file, and returns its descriptor
 */
export function namingIn(
  inside: (name: string) => string,
  create: (name: string) => number,
  temporary: string,
  name: string,
): Naming {
  const [from, to] = [inside(temporary), inside(name)];
  if (hasHardLinks(from)) {
    return {
      finish: () => {
        fs.linkSync(from, to);
        fs.unlinkSync(from);
      },
      abandon: () => undefined,
    };
  }
  fs.closeSync(create(name));
  const isReserved = () => {
    const stat = fs.lstatSync(to, { throwIfNoEntry: false });
    return stat === undefined || (stat.isFile() && stat.size === 0);
  };
  return {
    finish: () => {
      if (!isReserved())
        throw new SystemError(`${name}: another file was created with this name meanwhile`, 'EEXIST');
      replaceReserved(from, to);
    },
    abandon: () => {
      if (isReserved()) fs.rmSync(to, { force: true });
    },
  };
}

function hasHardLinks(file: string): boolean {
  const second = `${file}.link`;
  try {
    fs.linkSync(file, second);
  } catch {
    return false;
  }
  fs.unlinkSync(second);
  return true;
}

/** Some servers and FUSE file systems do not replace a file in rename(2). */
function replaceReserved(from: string, to: string): void {
  try {
    fs.renameSync(from, to);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    fs.unlinkSync(to);
    fs.renameSync(from, to);
  }
}
