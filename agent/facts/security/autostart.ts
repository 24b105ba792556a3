import { monotonicMilliseconds } from '../../system/clock.ts';
import { namesIfReadable } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import { cached } from '../../lib/cached.ts';
import { SystemError, unlessSystemError } from '../../lib/errors.ts';
import { type Observed, observe } from '../observed.ts';
import { homeFiles, homeUnits } from './places.ts';
import { readAccounts } from '../identity.ts';

/** The files in a home directory that are executed automatically or permit a login as its owner. */
export interface Autostart extends HomeOwner {
  /** Whether ~/.config/systemd/user contains any file. */
  units: boolean;
  /** Files that are executed or read at a login, except those that have the same size as in /etc/skel. */
  files: string[];
}

/** A user who can log in or who lingers. */
interface HomeOwner {
  user: string;
  home: string;
  /** Whether systemd starts the units of this user at boot, without a login (loginctl(1), enable-linger). */
  lingers: boolean;
}

/** The content of a home directory, or the error that occurred when it was read. */
interface HomeAutostart extends HomeOwner {
  found: Observed<Pick<Autostart, 'units' | 'files'>>;
}

const maximumUsers = 200;
/** Upper bound on the time to read home directories, in milliseconds. */
const maximumTime = 2000;

/**
 * Reads the home directory of each user in /etc/passwd who can log in or who lingers. Records errors separately for
 * each home directory, because only errors of home directories that persist across reboots are relevant.
 * @throws SystemError if /etc/passwd cannot be read
 */
export function findAutostart(reader: SystemReader): HomeAutostart[] {
  const began = monotonicMilliseconds();
  const lingering = new Set(namesIfReadable(reader, '/var/lib/systemd/linger'));
  const users = readAccounts(reader).slice(0, maximumUsers);
  return users.flatMap(({ name: user, home, shell }) => {
    const lingers = lingering.has(user);
    if (!home.startsWith('/') || (!canLogIn(shell) && !lingers)) return [];
    const isLate = monotonicMilliseconds() - began > maximumTime;
    return [{ user, home, lingers, found: observe(() => readHome(reader, home, isLate)) }];
  });
}

function readHome(reader: SystemReader, home: string, isLate: boolean): Pick<Autostart, 'units' | 'files'> {
  if (isLate) throw new SystemError(`${home}: not read, because reading other homes took ${maximumTime} ms`);
  // Each directory below the home directory, such as .ssh, is examined once.
  const isThere = cached((directory: string) => areDirectories(reader, home, directory));
  const isInDirectory = (name: string) => isThere(name.slice(0, Math.max(0, name.lastIndexOf('/'))));
  return {
    units:
      areDirectories(reader, home, homeUnits) &&
      unlessSystemError(() => reader.hasEntries(`${home}/${homeUnits}`)) === true,
    files: homeFiles.filter((name) => isInDirectory(name) && isOwn(reader, home, name)),
  };
}

/** Whether a login shell permits a login. An empty field stands for /bin/sh (passwd(5)). */
function canLogIn(shell: string): boolean {
  return !/\/(nologin|false|true|sync|halt|shutdown)$/.test(shell);
}

/**
 * Whether a file exists and has a different size than the file in /etc/skel. Calls only lstat(2) and does not open the
 * file, because the owner of the home directory can replace the file by a link to a device or to a server that does not
 * respond.
 */
function isOwn(reader: SystemReader, home: string, name: string): boolean {
  const stat = reader.stat(`${home}/${name}`);
  if (stat === undefined || stat.bytes === 0) return false;
  return stat.kind !== 'file' || stat.bytes !== reader.stat(`/etc/skel/${name}`)?.bytes;
}

/** Whether each component is a directory and not a symbolic link; also false if a directory cannot be read. */
function areDirectories(reader: SystemReader, home: string, directory: string): boolean {
  let file = home;
  try {
    return directory
      .split('/')
      .filter((name) => name !== '')
      .every((name) => reader.stat((file += `/${name}`))?.kind === 'directory');
  } catch {
    return false;
  }
}
