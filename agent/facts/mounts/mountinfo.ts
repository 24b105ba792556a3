import { unescapeOctal } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Mount, parseMounts } from './mount-lines.ts';
import { type MountTable, tableOf } from './mount-table.ts';

export { isBelow } from '../../lib/paths.ts';
export type { Mount } from './mount-lines.ts';
export { type MountTable, isWritable, lowersOf, optionOf, servingMount } from './mount-table.ts';

/**
 * Parses mountinfo, with its escapes decoded and its texts decoded as UTF-8.
 * @param text Latin-1, one character per byte, as SystemReader.read returns it
 * @throws the errors of parseMounts
 */
export function parseMountinfo(text: string): Mount[] {
  return parseMounts(text, unescapeOctal);
}

/** Reads the mounts of this process. @throws SystemError; the errors of parseMountinfo */
export function readMountTable(reader: SystemReader): MountTable {
  return mountTable(reader.read('/proc/self/mountinfo', 64 * 1024 * 1024));
}

/** Parses mountinfo into a table. Same parameter and errors as parseMountinfo. */
export function mountTable(text: string): MountTable {
  return tableOf(parseMountinfo(text));
}

/** Returns the substitute for a table that could not be read; each access throws the error. */
export function unreadableTable(error: Error): MountTable {
  const fail = () => {
    throw error;
  };
  return Object.defineProperties({ serving: fail, at: fail } as unknown as MountTable, {
    all: { get: fail },
    hidden: { get: fail },
  });
}

/** Whether the target of the symbolic link /etc/mtab is the kernel's mount table. */
export function isMountTable(link: string): boolean {
  return /^(\/|\.\.\/)proc\/(self\/)?mounts$/.test(link);
}
