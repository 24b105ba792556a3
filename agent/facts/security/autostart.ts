import type { SystemReader } from '../../system/reader.ts';

/** The files of a home directory that are run, or that let its owner log in. */
export interface Autostart {
  user: string;
  home: string;
  /** systemd starts this user's units at boot, without a login (loginctl(1), enable-linger). */
  lingers: boolean;
  /** ~/.config/systemd/user is not empty. */
  units: boolean;
  /** Files that are run or read at a login. A file of the same size as in /etc/skel is left out. */
  files: string[];
}

const maximumUsers = 200;
/** Milliseconds after which no further user is read. */
const maximumTime = 250;
const loginFiles = [
  ...[
    '.bash_profile',
    '.bash_login',
    '.bashrc',
    '.bash_logout',
    '.profile',
    '.zshenv',
    '.zshrc',
    '.zprofile',
  ],
  ...['.login', '.cshrc', '.tcshrc', '.ssh/authorized_keys', '.ssh/rc', '.forward'],
];

/**
 * The users of /etc/passwd who may log in or linger and have such files.
 * @throws HostError if /etc/passwd cannot be read; a home directory that cannot be read is left out
 */
export function findAutostart(reader: SystemReader): Autostart[] {
  const began = performance.now();
  const lingering = new Set(names(reader, '/var/lib/systemd/linger'));
  const users = reader.readIfPresent('/etc/passwd', 1024 * 1024) ?? '';
  const fields = users.split('\n').map((line) => line.split(':'));
  return fields.slice(0, maximumUsers).flatMap(([user = '', , , , , home = '', shell = '']) => {
    const lingers = lingering.has(user);
    if (!home.startsWith('/') || (!canLogIn(shell) && !lingers)) return [];
    if (performance.now() - began > maximumTime) return [];
    const units = hasUnits(reader, home);
    const files = loginFiles.filter((name) => isOwn(reader, home, name));
    return units || files.length > 0 ? [{ user, home, lingers, units, files }] : [];
  });
}

/** An empty field means /bin/sh (passwd(5)). */
function canLogIn(shell: string): boolean {
  return !/\/(nologin|false|true|sync|halt|shutdown)$/.test(shell);
}

/**
 * Whether a file exists and differs in size from the one in /etc/skel. It is not opened, only lstat(2) is used: the
 * owner of a home directory may replace a file by a link to a device or to a dead server.
 */
function isOwn(reader: SystemReader, home: string, name: string): boolean {
  if (!areFolders(reader, home, name.split('/').slice(0, -1))) return false;
  const stat = reader.stat(`${home}/${name}`);
  if (stat === undefined || stat.bytes === 0) return false;
  return stat.kind !== 'file' || stat.bytes !== reader.stat(`/etc/skel/${name}`)?.bytes;
}

function hasUnits(reader: SystemReader, home: string): boolean {
  const folders = ['.config', 'systemd', 'user'];
  return areFolders(reader, home, folders) && names(reader, [home, ...folders].join('/')).length > 0;
}

/** Whether each of them is a folder, not a link; false also if a folder cannot be read. */
function areFolders(reader: SystemReader, home: string, folders: readonly string[]): boolean {
  try {
    return folders.every((_, index) => {
      const file = [home, ...folders.slice(0, index + 1)].join('/');
      return reader.stat(file)?.kind === 'directory';
    });
  } catch {
    return false;
  }
}

function names(reader: SystemReader, folder: string): string[] {
  try {
    return reader.list(folder);
  } catch {
    return [];
  }
}
