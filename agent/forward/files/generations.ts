import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { SystemError, hasCode, unless } from '../../lib/errors.ts';
import { type LogFile, type LogFileStat, namesIn, openLogFile, statLogFile } from '../../system/log-file.ts';
import { type TailRecord, hasContent } from './content.ts';

/** The maximum number of rotated files of one log that are considered: the newest ones. */
const mostGenerations = 200;
/** The maximum number of times that the files of a log are listed while they are being renamed. */
const mostListings = 5;
/** `.1`, `-20260131`, `.2026-01-31`, `.old`; not compressed files, and not other files whose name begins alike. */
const rotation = /^[.-]([0-9][0-9._-]*|old|bak)$/;

/** A file that a log was renamed or copied to, or the log itself. */
export interface Generation extends LogFileStat {
  file: string;
}

/**
 * Returns the files that logrotate(8) or auditd(8) made of a log, in the order in which they were written: names such as
 * `audit.log.1` and `app.log-20260131`, without compressed ones. The log itself is not included.
 * @throws SystemError if the directory cannot be read
 */
export function rotatedFiles(log: string): Generation[] {
  return untilSame(() => listRotated(log));
}

/**
 * Lists files until two listings in a row agree, at most five times, because a listing that is made while files are being
 * renamed may lack a file.
 */
export function untilSame(list: () => Generation[]): Generation[] {
  let listed = list();
  for (let listings = 1; listings < mostListings; listings += 1) {
    const again = list();
    if (isDeepStrictEqual(again.map(identity), listed.map(identity))) return again;
    listed = again;
  }
  return listed;
}

const identity = ({ file, inode }: Generation) => [file, inode];

function listRotated(log: string): Generation[] {
  const [directory, base] = [path.dirname(log), path.basename(log)];
  return namesIn(directory)
    .filter((name) => name.startsWith(base) && isRotation(name.slice(base.length)))
    .flatMap((name) => {
      const file = path.join(directory, name);
      const stat = statLogFile(file);
      return stat?.isFile === true ? [{ file, ...stat }] : [];
    })
    .sort((a, b) => a.modified - b.modified || rotationNumber(b.file) - rotationNumber(a.file))
    .slice(-mostGenerations);
}

/** Whether a file name, without the name of the log, is that of a rotated file which can be read as text. */
export function isRotation(suffix: string): boolean {
  return rotation.test(suffix);
}

/** Returns N of `app.log.N`, else 0. Of two files with the same time, the one with the higher number is older. */
export function rotationNumber(file: string): number {
  return Number(/\.(\d{1,6})$/.exec(file)?.[1] ?? 0);
}

export interface Found {
  generation: Generation;
  file: LogFile;
}

/** Compares the numbers of the inodes only, because a device may have another number in each boot. */
export function hasSameInode(one: { inode: string }, other: { inode: string }): boolean {
  return one.inode.split(':')[1] === other.inode.split(':')[1];
}

/**
 * Finds the file that has the content of a record: first by its inode, then by its content alone. Its offset is not 0.
 * @throws MovedError if a candidate is gone, or if another file has its name meanwhile
 * @throws SystemError for a temporary error
 */
export function findContent(candidates: readonly Generation[], record: TailRecord): Found | undefined {
  const byInode = candidates.filter((each) => hasSameInode(each, record));
  const others = candidates.filter((each) => !hasSameInode(each, record));
  for (const generation of [...byInode, ...others]) {
    if (generation.bytes < record.offset) continue;
    const file = openGeneration(generation);
    if (file === undefined) continue;
    let isFound = false;
    try {
      isFound = hasContent(file, record);
    } finally {
      if (!isFound) file.close();
    }
    if (isFound) return { generation, file };
  }
  return undefined;
}

/** A file was renamed or removed after the files of a log were listed, so they must be listed again. */
export class MovedError extends SystemError {
  override name = 'MovedError';
}

/**
 * Opens a file of a log.
 * @throws MovedError if it is gone, or if another file has its name meanwhile
 * @throws SystemError if it cannot be opened
 */
export function openListed({ file, inode }: Generation): LogFile {
  const moved = `${file}: it was renamed or removed while it was being opened`;
  let opened: LogFile | undefined;
  try {
    opened = openLogFile(file);
    if (opened.stat().inode !== inode) throw new MovedError(moved);
    return opened;
  } catch (error) {
    opened?.close();
    if (error instanceof SystemError && error.code === 'ENOENT') throw new MovedError(moved);
    throw error;
  }
}

/**
 * Lists the files of a log and opens some of them, and does so again if the log is rotated in the meantime.
 * @throws MovedError if it is rotated each time
 */
export function listedAgain<T>(listAndOpen: () => T): T {
  for (let listings = 1; ; listings += 1) {
    try {
      return listAndOpen();
    } catch (error) {
      if (!(error instanceof MovedError) || listings === mostListings) throw error;
    }
  }
}

/** The error codes of files that stay unreadable. Others, such as too many open files, are temporary. */
const isPermanent = hasCode('EACCES', 'EPERM', 'ELOOP', 'EINVAL', 'ENOTDIR');

/**
 * Opens a rotated file, unless it is not readable.
 * @throws MovedError if it is gone, or if another file has its name meanwhile
 * @throws SystemError for a temporary error
 */
export function openGeneration(generation: Generation): LogFile | undefined {
  return unless(isPermanent, () => openListed(generation));
}
