import { once } from '../../../lib/cached.ts';
import path from 'node:path';
import { unlessSystemError } from '../../../lib/errors.ts';
import type { MountTable } from '../../../facts/mounts/mountinfo.ts';
import { findExecutableMappings } from '../../../facts/security/programs/mappings.ts';
import { deletedSuffix } from '../../../facts/security/programs/layer-files.ts';
import { isMemfd } from '../../../facts/security/programs/origin.ts';
import type { MappedFile } from '../../../system/mapped-files.ts';
import { namesIfReadable } from '../../../system/names.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { commOf, nameOf, readableProcesses } from '../../engine/processes.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import { startPlaces } from '../../../facts/security/places.ts';

/** A program, library or script that a process executes. Texts have one character per byte (latin1). */
export interface RunningFile {
  file: string;
  /** The process: "agentd (812)". */
  by: string;
}

export interface Running {
  files: RunningFile[];
  /** The processes that execute a memfd, that are traced, or that are in another user namespace. */
  memfd: string[];
  traced: string[];
  userNamespaces: string[];
  /** The processes that could not be examined, each with the reason. */
  unexamined: string[];
}

const mapsLimit = 16 * 1024 * 1024;
const fileLimit = 65536;

/**
 * Finds what every process executes now: its program, its libraries, and the script that it interprets. Leaves out the
 * agent and the processes that started it, and files of other mount namespaces, to which no path leads.
 * @param isWanted whether a path is of interest
 */
export async function findRunning(
  { reader, mounts, processes: list }: Pick<Snapshot, 'reader' | 'mounts' | 'processes'>,
  isWanted: (file: string) => boolean,
): Promise<Running> {
  const { processes } = reader;
  const own = ancestors(reader);
  const {
    pids: readable,
    argumentsOf,
    examine,
    unexamined,
  } = readableProcesses(reader, await list(), (pid) => !own.has(pid));
  const ownNamespace = unlessSystemError(() => reader.link('/proc/self/ns/user'));
  const found: Running = { files: [], memfd: [], traced: [], userNamespaces: [], unexamined };
  for (const pid of readable) {
    const read = (name: string) => unlessSystemError(() => processes.read(pid, name, fileLimit)) ?? '';
    const by = nameOf(reader, pid);
    const maps = examine(pid, () => processes.read(pid, 'maps', mapsLimit) ?? '');
    if (maps === undefined) continue;
    const all = findExecutableMappings(maps).mapped;
    const mapped = all.filter((file) => isInteresting(mounts, file, isWanted));
    const files = new Set(
      mapped.filter((file) => !isMemfd(file.path)).map((file) => withoutSuffix(file.path)),
    );
    const script = executedScript(reader, pid, argumentsOf(pid));
    if (script !== undefined && isWanted(script)) files.add(script);
    for (const file of files) found.files.push({ file, by });
    if (mapped.some((file) => isMemfd(file.path))) found.memfd.push(by);
    if (/^TracerPid:\t[1-9]/m.test(read('status'))) found.traced.push(by);
    const namespace = unlessSystemError(() => processes.link(pid, 'ns/user'));
    if (namespace !== undefined && ownNamespace !== undefined && namespace !== ownNamespace)
      found.userNamespaces.push(by);
  }
  return found;
}

function withoutSuffix(file: string): string {
  return file.endsWith(deletedSuffix) ? file.slice(0, -deletedSuffix.length) : file;
}

/** Whether a mapped file is a memfd, or a wanted file of this mount namespace. */
function isInteresting(
  mounts: MountTable,
  { path: shown, device }: MappedFile,
  isWanted: (file: string) => boolean,
): boolean {
  const file = withoutSuffix(shown);
  const serving = file.startsWith('/') ? mounts.serving(file) : undefined;
  if (serving?.device === device) return isWanted(file);
  return isMemfd(shown) && !mounts.all.some((mount) => mount.device === device);
}

/**
 * Returns the script that was executed itself (#!) and not passed to an interpreter, because noexec does not keep an
 * interpreter from reading a script. The kernel names the process after the file that was executed.
 */
function executedScript(
  reader: SystemReader,
  pid: number,
  words: readonly string[] = [],
): string | undefined {
  const comm = commOf(reader, pid);
  // The interpreter may have one argument before the script.
  const script = words.slice(1, 3).find((word) => path.basename(word).slice(0, 15) === comm && comm !== '');
  if (script === undefined) return undefined;
  if (script.startsWith('/')) return path.normalize(script);
  const folder = unlessSystemError(() => reader.processes.link(pid, 'cwd'));
  return folder === undefined ? undefined : path.join(folder, script);
}

/** Returns the IDs of this process and of those above it, except PID 1. */
function ancestors(reader: SystemReader): Set<number> {
  const found = new Set<number>();
  let pid = process.pid;
  while (pid > 1 && !found.has(pid)) {
    found.add(pid);
    const stat = unlessSystemError(() => reader.processes.read(pid, 'stat', fileLimit)) ?? '';
    pid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
  }
  return found;
}

const unitFolders = ['/etc/systemd/system', '/usr/lib/systemd/system'];
/** Files, and folders of files, that name programs. */
const tables = once(() => [
  ...startPlaces()
    .filter(({ category }) => category === 'cron' || category === 'udev')
    .map((place) => place.path)
    .filter((place) => /^\/(etc|var)\//.test(place)),
  ...['/etc/logrotate.d', '/etc/rc.d/rc.local', '/etc/rc.local'],
]);
const tableLimit = 1024 * 1024;

/**
 * Finds the executable files that units, cron tables, udev rules, logrotate and rc.local name. They are in use although
 * no process executes them now.
 * @param isWanted whether a path is of interest
 */
export function findNamedFiles(reader: SystemReader, isWanted: (file: string) => boolean): RunningFile[] {
  const isUnit = (file: string) => /\.(service|socket|mount|swap|conf)$/.test(file);
  const units = unitFolders.flatMap((folder) => filesIn(reader, folder, 1)).filter(isUnit);
  const others = [...tables(), ...tables().flatMap((folder) => filesIn(reader, folder, 1))];
  const found = [
    ...units.flatMap((file) => pathsIn(reader, file, commandsOf)),
    ...others.flatMap((file) => pathsIn(reader, file, (text) => text.replace(/^\s*#.*$/gm, ''))),
  ];
  return found.filter(({ file }) => {
    const stat = isWanted(file) ? unlessSystemError(() => reader.stat(file)) : undefined;
    return stat?.kind === 'file' && (stat.mode & 0o111) !== 0;
  });
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
  const text = select(unlessSystemError(() => reader.readIfPresent(by, tableLimit)) ?? '');
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
