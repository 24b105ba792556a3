import { decodeBytes } from '../../lib/format.ts';
import { unlessRefused } from '../../system/image.ts';
import type { SystemReader } from '../../system/reader.ts';
import { nameOf, otherProcesses, unlessEnded } from './processes.ts';

/** A file that processes have open for writing. */
export interface OpenFile {
  path: string;
  bytes: number;
  /** The processes: "rsyslogd (812)". */
  who: string[];
  pids: number[];
}

/**
 * O_WRONLY | O_RDWR, the bits for writing in the flags of open(2). fdinfo shows the flags in octal
 * (proc_pid_fdinfo(5)).
 */
const writes = 3;

/** Finds the files below some folders that processes other than this one have open for writing, the largest first. */
export function openForWriting(reader: SystemReader, folders: readonly string[]): OpenFile[] {
  const files = new Map<string, OpenFile>();
  for (const pid of unlessRefused(() => otherProcesses(reader)) ?? []) {
    for (const path of new Set(pathsOf(reader, pid, folders))) {
      const stat = reader.stat(decodeBytes(path));
      if (stat?.kind !== 'file') continue;
      const file = files.get(path) ?? { path, bytes: stat.bytes, who: [], pids: [] };
      file.who.push(nameOf(reader, pid));
      file.pids.push(pid);
      files.set(path, file);
    }
  }
  return [...files.values()].toSorted((a, b) => b.bytes - a.bytes);
}

function pathsOf(reader: SystemReader, pid: number, folders: readonly string[]): string[] {
  const names = unlessEnded(() => reader.list(`/proc/${pid}/fd`)) ?? [];
  return names.flatMap((fd) => {
    const path = unlessEnded(() => reader.link(`/proc/${pid}/fd/${fd}`));
    if (path === undefined || !folders.some((folder) => path.startsWith(`${folder}/`))) return [];
    const info = unlessEnded(() => reader.read(`/proc/${pid}/fdinfo/${fd}`)) ?? '';
    const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? '0';
    return (parseInt(flags, 8) & writes) === 0 ? [] : [path];
  });
}
