import type { SystemReader } from '../../system/reader.ts';

/** What a home directory has that is run, or that lets its owner in. */
export interface Autostart {
  user: string;
  home: string;
  /** systemd starts this user's units at boot, without a login (loginctl(1), enable-linger). */
  lingers: boolean;
  /** ~/.config/systemd/user has something in it. */
  units: boolean;
  /** Files by which something is run, or let in, at a login; those of the size that /etc/skel has are left out. */
  files: string[];
}

const mostUsers = 200;
/** Milliseconds after which the users that are left are not looked at. */
const mostTime = 250;
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
 * The users of /etc/passwd whose home directory is one that outlives a reboot, and who may log in or linger.
 * @param persists whether a folder is on a disk that the guest can write to
 * @throws HostError where /etc/passwd cannot be read; a home directory that cannot be is left out
 */
export function findAutostart(reader: SystemReader, persists: (folder: string) => boolean): Autostart[] {
  const began = performance.now();
  const lingering = new Set(names(reader, '/var/lib/systemd/linger'));
  const users = reader.stat('/etc/passwd') === undefined ? '' : reader.read('/etc/passwd', 1024 * 1024);
  const fields = users.split('\n').map((line) => line.split(':'));
  return fields.slice(0, mostUsers).flatMap(([user = '', , , , , home = '', shell = '']) => {
    const lingers = lingering.has(user);
    if (!home.startsWith('/') || (!canLogIn(shell) && !lingers) || !persists(home)) return [];
    if (performance.now() - began > mostTime) return [];
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
 * By lstat(2) alone: the owner of a home directory may have put a link to a device, or to a server that is gone, in the
 * place of a file. A copy from /etc/skel has the size of what is there.
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

/** None of them is a link. What cannot be seen is none. */
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
