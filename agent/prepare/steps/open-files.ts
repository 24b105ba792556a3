import { errorCode } from '../../lib/errors.ts';
import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';

/** A file that processes hold open for writing. */
export interface OpenFile {
  path: string;
  bytes: number;
  /** "rsyslogd (812)" */
  who: string[];
}

/** O_WRONLY and O_RDWR in open(2)'s flags, octal in fdinfo (proc_pid_fdinfo(5)). */
const writes = 3;

/**
 * What every process but this one has open for writing below some folders, the largest first. A process that ends
 * meanwhile has nothing open.
 */
export function openForWriting(reader: SystemReader, folders: readonly string[]): OpenFile[] {
  const files = new Map<string, OpenFile>();
  const pids = reader.list('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  for (const pid of pids) {
    for (const path of new Set(pathsOf(reader, pid, folders))) {
      const stat = reader.stat(decodeBytes(path));
      if (stat?.kind !== 'file') continue;
      const file = files.get(path) ?? { path, bytes: stat.bytes, who: [] };
      file.who.push(`${orNothing(() => reader.read(`/proc/${pid}/comm`).trim()) ?? 'process'} (${pid})`);
      files.set(path, file);
    }
  }
  return [...files.values()].toSorted((a, b) => b.bytes - a.bytes);
}

function pathsOf(reader: SystemReader, pid: string, folders: readonly string[]): string[] {
  const names = orNothing(() => reader.list(`/proc/${pid}/fd`)) ?? [];
  return names.flatMap((fd) => {
    const path = orNothing(() => reader.link(`/proc/${pid}/fd/${fd}`));
    if (path === undefined || !folders.some((folder) => path.startsWith(`${folder}/`))) return [];
    const info = orNothing(() => reader.read(`/proc/${pid}/fdinfo/${fd}`)) ?? '';
    const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? '0';
    return (parseInt(flags, 8) & writes) === 0 ? [] : [path];
  });
}

/** What belongs to a process that is gone is not there: ESRCH where it was just there. */
function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(errorCode(error))) return undefined;
    throw error;
  }
}

/** The first few of a list, and how many more there are. */
export function firstOf(texts: readonly string[], shown = 5): string {
  const more = texts.length - shown;
  return `${texts.slice(0, shown).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
