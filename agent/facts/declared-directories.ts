import { unlessSystemError } from '../lib/errors.ts';
import { namesIfReadable } from '../system/names.ts';
import type { SystemReader } from '../system/reader.ts';
import { isBelow } from './mounts/mountinfo.ts';

/** A directory or file that a unit names. Paths have one character per byte (latin1). */
export interface Declaration {
  unit: string;
  path: string;
  /** The setting that names it, as in the unit: "StateDirectory=". */
  setting: string;
}

const directories: readonly string[] = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];
/** No unit file of a distribution comes near this size, in bytes. */
const fileLimit = 65536;

/** Returns what the services of the guest declare below some directories (systemd.exec(5)), and the names of all services. */
export function readDeclarations(
  reader: SystemReader,
  roots: readonly string[],
): { declarations: Declaration[]; units: string[] } {
  const declarations: Declaration[] = [];
  const units = new Set<string>();
  const isMerged = reader.stat('/lib')?.kind === 'link';
  for (const directory of directories.filter((each) => !isMerged || !each.startsWith('/lib/'))) {
    for (const name of namesIfReadable(reader, directory)) {
      const unit = name.replace(/\.d$/, '');
      if (!unit.endsWith('.service')) continue;
      units.add(unit);
      for (const file of unitFiles(reader, `${directory}/${name}`, name === unit)) {
        const text = unlessSystemError(() => reader.read(file, fileLimit)) ?? '';
        declarations.push(...parseDeclarations(unit, text).filter(({ path }) => isInside(path, roots)));
      }
    }
  }
  return { declarations, units: [...units] };
}

function unitFiles(reader: SystemReader, path: string, isUnit: boolean): string[] {
  if (isUnit) return reader.stat(path)?.kind === 'file' ? [path] : [];
  return namesIfReadable(reader, path)
    .filter((name) => name.endsWith('.conf'))
    .map((name) => `${path}/${name}`);
}

function isInside(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => path !== root && isBelow(path, root));
}

const listsOfPaths = /^(ReadWritePaths|ReadWriteDirectories|BindPaths|WorkingDirectory|RootDirectory)$/;

/** The settings whose directories systemd makes, with the directory that contains them (systemd.exec(5)). */
const managed: Readonly<Record<string, string>> = {
  StateDirectory: '/var/lib',
  CacheDirectory: '/var/cache',
  LogsDirectory: '/var/log',
};

/** Parses a unit file or a drop-in (systemd.syntax(7)). A path ends before a component with a specifier. */
export function parseDeclarations(unit: string, text: string): Declaration[] {
  const isDynamic = /^\s*DynamicUser\s*=\s*(1|yes|y|true|t|on)\s*$/im.test(text);
  return text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .flatMap((line) => {
      const [, key = '', value = ''] = /^\s*([A-Za-z]+)\s*=\s*(.*)$/.exec(line) ?? [];
      const setting = `${key}=`;
      return pathsOf(key, value, isDynamic).map((path) => ({ unit, path: withoutSpecifiers(path), setting }));
    });
}

function pathsOf(key: string, value: string, isDynamic: boolean): string[] {
  const words = value.split(/\s+/).map((word) => word.replace(/^["'+-]+|["']+$/g, ''));
  const above = managed[key];
  // With DynamicUser=, the directory is a symbolic link to the one that has the content.
  if (above !== undefined)
    return words
      .map((word) => word.replace(/:.*/, ''))
      .filter((word) => word !== '')
      .map((word) => `${above}/${isDynamic ? 'private/' : ''}${word}`);
  if (listsOfPaths.test(key)) return words.map((word) => word.replace(/:.*/, '')).filter(isAbsolute);
  if (key !== 'Environment' && !key.startsWith('Exec')) return [];
  // In an option or a variable, such as --datadir=/var/lib/x or PGDATA=/var/lib/pgsql/data, or as an argument.
  return words
    .map((word) => word.replace(/^[^/]*=/, '').replace(/["':,;].*/, ''))
    .filter(isAbsolute)
    .flatMap((word) => [word, ...variableFilesOf(word)]);
}

/** Returns the directory for variable files of a package in /opt (Filesystem Hierarchy Standard 3.0, 5.12). */
function variableFilesOf(word: string): string[] {
  const [, name] = /^\/opt\/([^/]+)\//.exec(word) ?? [];
  return name === undefined ? [] : [`/var/opt/${name}`];
}

function isAbsolute(path: string): boolean {
  return path.startsWith('/');
}

function withoutSpecifiers(path: string): string {
  return path.replace(/\/[^/]*%.*$/, '').replace(/\/+$/, '');
}
