import type { SystemReader } from '../../../system/reader.ts';

/** A set-user-ID or set-group-ID program, or a device file. The path has one character per byte (latin1). */
export interface SpecialFile {
  option: 'nosuid' | 'nodev';
  file: string;
}

const find = '/usr/bin/find';
const stat = '/usr/bin/stat';
/** The timeout of the search, in milliseconds. */
const limit = 120_000;

/**
 * Finds the files that nosuid or nodev makes useless, in one walk. Whiteouts (character devices 0:0), which overlayfs
 * uses, are no devices.
 * @param roots the folders to search, each without the file systems mounted below it
 * @param excluded folders that are not searched
 * @returns the files; or, as a text, the reason why the search is incomplete
 */
export async function findSpecialFiles(
  reader: SystemReader,
  roots: readonly string[],
  excluded: readonly string[],
): Promise<SpecialFile[] | string> {
  if (roots.length === 0) return [];
  const prune = excluded.flatMap((folder) => ['-path', folder, '-prune', '-o']);
  const wanted = ['(', '-type', 'f', '-perm', '/6000', '-o', '-type', 'b', '-o', '-type', 'c', ')'];
  const print = ['-exec', stat, '--printf', '%t:%T %f %n\\0', '--', '{}', '+'];
  const args = [...roots, '-ignore_readdir_race', '-xdev', ...prune, ...wanted, ...print];
  const { stdout, ended } = await reader.run(find, args, limit);
  // find also exits with 1 if it cannot read a directory, and stat if a file has vanished. Everything else was searched.
  const search = `the search for set-user-ID programs and device files below ${roots.join(' ')}`;
  if (ended === 'deadline') return `${search} was not complete after ${limit / 1000} s`;
  if (ended === 'full')
    return `${search} found too many files (more than 16 MiB of names): give the directory a file system of its own, or leave nosuid and nodev out there`;
  return stdout.split('\0').flatMap(parseRecord);
}

const typeBits = 0o170000;
const regular = 0o100000;

/** Parses "MAJOR:MINOR MODE PATH"; the numbers are hexadecimal. */
function parseRecord(record: string): SpecialFile[] {
  const [, device = '', mode = '', file] = /^([\da-f]+:[\da-f]+) ([\da-f]+) (\/.*)$/s.exec(record) ?? [];
  if (file === undefined) return [];
  if ((parseInt(mode, 16) & typeBits) === regular) return [{ option: 'nosuid', file }];
  return device === '0:0' ? [] : [{ option: 'nodev', file }];
}
