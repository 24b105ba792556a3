import path from 'node:path';
import { startPlaces } from '../../../facts/security/places.ts';
import { unlessSystemError } from '../../../lib/errors.ts';
import { type SystemReader, namesIfReadable } from '../../../system/reader.ts';
import type { RunningFile } from './running.ts';

const unitFolders = ['/etc/systemd/system', '/usr/lib/systemd/system'];
/** Files, and folders of files, that name programs. */
const tables = [
  ...startPlaces
    .filter(
      ({ path: place, category }) =>
        (category === 'cron' || category === 'udev') && /^\/(etc|var)\//.test(place),
    )
    .map((place) => place.path),
  ...['/etc/logrotate.d', '/etc/rc.d/rc.local', '/etc/rc.local'],
];
const fileLimit = 1024 * 1024;

/**
 * Finds the executable files that units, cron tables, udev rules, logrotate and rc.local name. They are in use although
 * no process executes them now.
 * @param isWanted whether a path is of interest
 */
export function findNamedFiles(reader: SystemReader, isWanted: (file: string) => boolean): RunningFile[] {
  const units = unitFolders.flatMap((folder) => filesIn(reader, folder, 1)).filter(isUnit);
  const others = [...tables, ...tables.flatMap((folder) => filesIn(reader, folder, 1))];
  const found = [
    ...units.flatMap((file) => pathsIn(reader, file, commandsOf)),
    ...others.flatMap((file) => pathsIn(reader, file, (text) => text.replace(/^\s*#.*$/gm, ''))),
  ];
  return found.filter(({ file }) => isWanted(file) && isExecutable(reader, file));
}

function isUnit(file: string): boolean {
  return /\.(service|socket|mount|swap|conf)$/.test(file);
}

/** Returns the commands of a unit. A line that ends in a backslash continues on the next line (systemd.syntax(7)). */
function commandsOf(text: string): string {
  return text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => /^\s*Exec\w+\s*=/.test(line))
    .join('\n');
}

function pathsIn(reader: SystemReader, by: string, select: (text: string) => string): RunningFile[] {
  if (unlessSystemError(() => reader.stat(by))?.kind !== 'file') return [];
  const text = select(unlessSystemError(() => reader.readIfPresent(by, fileLimit)) ?? '');
  const paths = text.match(/(?<![^\s"'=:;,(|&!@+-])\/[^\s"'=;,:()|&<>]+/g) ?? [];
  return [...new Set(paths)].map((file) => ({ file: path.normalize(file), by }));
}

/** @param depth how many levels of folders are searched, too */
function filesIn(reader: SystemReader, folder: string, depth: number): string[] {
  return namesIfReadable(reader, folder).flatMap((name) => {
    const file = `${folder}/${name}`;
    const isFolder = depth > 0 && unlessSystemError(() => reader.stat(file))?.kind === 'directory';
    return isFolder ? filesIn(reader, file, depth - 1) : [file];
  });
}

function isExecutable(reader: SystemReader, file: string): boolean {
  const stat = unlessSystemError(() => reader.stat(file));
  return stat?.kind === 'file' && (stat.mode & 0o111) !== 0;
}
