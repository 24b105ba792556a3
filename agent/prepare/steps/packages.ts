import { recordsOf } from '../../system/find.ts';
import type { SystemReader } from '../../system/reader.ts';

const rpm = '/usr/bin/rpm';
/** The timeout of the query, in milliseconds. A cold package database of 2,000 packages takes seconds. */
const limit = 60_000;

/**
 * Prints a line "=NAME INSTALLTID INSTALLTIME" for each package, then its files. INSTALLTID is the time at which the
 * transaction began, INSTALLTIME the time at which the package was added to the database, after its files were written
 * and before its %post scriptlet (rpm 4.11 to 4.20: lib/psm.c).
 */
const format = '=%{NAME} %{INSTALLTID} %{INSTALLTIME}\\n[%{FILENAMES}\\n]';

/** The time in which the scriptlets of a package may still change its files, in seconds. */
const scriptletSeconds = 120;
/** The time in which %posttrans scriptlets and triggers may run after the last package (dracut), in seconds. */
const posttransSeconds = 300;

/** A period, in seconds since the epoch. */
export interface Period {
  from: number;
  to: number;
}

interface Package {
  name: string;
  /** From the beginning of the transaction that installed this version, until its scriptlets have ended. */
  installing: Period;
}

/** The installed packages, as far as they concern some paths. */
export interface Packages {
  /** Maps a path to the package that owns it. Several packages can own a directory; the last one installed counts. */
  ownerOf: ReadonlyMap<string, Package>;
  /** The transactions, including %posttrans, in no particular order. */
  transactions: readonly Period[];
}

export const noPackages: Packages = { ownerOf: new Map(), transactions: [] };

/**
 * Queries the package database, with a single process for all files, and keeps only the owners of some paths.
 * @param isWanted whether to keep the owner of a path (one character per byte, latin1); called for each file of each
 *     package, several hundred thousand in a large guest
 * @param progress is called as the output arrives
 * @returns the packages; or, as a text, the reason why they are unknown
 */
export async function readPackages(
  reader: SystemReader,
  isWanted: (path: string) => boolean,
  progress: () => void = () => undefined,
): Promise<Packages | string> {
  const merged = ['/bin', '/sbin', '/lib', '/lib64'].filter((each) => reader.stat(each)?.kind === 'link');
  const parser = packageParser(isWanted, merged);
  if (reader.stat(dpkgLists)?.kind === 'directory') return readDpkg(reader, parser, progress);
  if (reader.stat(rpm) === undefined) return `${rpm} is not installed`;
  const { ended } = await reader.run(rpm, ['-qa', '--qf', format], limit, (part) => {
    progress();
    parser.take(part);
  });
  if (ended === 'good') return parser.done();
  return ended === 'deadline'
    ? `${rpm} did not end within ${limit / 1000} s`
    : `${rpm} -qa failed; to repair the package database, run \`rpm --rebuilddb\``;
}

/** Where dpkg keeps the list of the files of each package, which it writes when it has unpacked them (dpkg(1)). */
const dpkgLists = '/var/lib/dpkg/info';
/** The time that dpkg needs to unpack a package, in seconds. */
const unpackSeconds = 60;

function readDpkg(
  reader: SystemReader,
  parser: ReturnType<typeof packageParser>,
  progress: () => void,
): Packages {
  for (const name of reader.list(dpkgLists)) {
    if (!name.endsWith('.list')) continue;
    progress();
    const file = `${dpkgLists}/${name}`;
    const at = Math.floor((reader.stat(file)?.modified ?? 0) / 1000);
    parser.take(`=${name.replace(/(:[^:]*)?\.list$/, '')} ${at - unpackSeconds} ${at}\n${reader.read(file)}`);
  }
  return parser.done();
}

/**
 * Parses the output of the query in parts.
 * @param isWanted as for readPackages
 * @param merged top-level folders that are links into /usr; packages may own files by their former names (/lib64/x)
 */
export function packageParser(
  isWanted: (path: string) => boolean,
  merged: readonly string[],
): { take: (part: string) => void; done: () => Packages } {
  const ownerOf = new Map<string, Package>();
  const ends = new Map<number, number>();
  const former = merged.map((folder) => `${folder}/`);
  let current: Package | undefined;
  const own = (path: string) => {
    if (current === undefined || !isWanted(path)) return;
    const other = ownerOf.get(path);
    if (other === undefined || other.installing.to < current.installing.to) ownerOf.set(path, current);
  };
  const line = (text: string) => {
    if (text.startsWith('/')) {
      own(text);
      if (former.some((prefix) => text.startsWith(prefix))) own(`/usr${text}`);
      return;
    }
    const [, name = '', tid, installed] = /^=(\S+) (\d+) (\d+)$/.exec(text) ?? [];
    // A package without these times, such as gpg-pubkey of old releases, owns no files.
    current = undefined;
    if (tid === undefined || installed === undefined) return;
    const [from, to] = [Math.min(Number(tid), Number(installed)), Number(installed)];
    current = { name, installing: { from, to: to + scriptletSeconds } };
    ends.set(from, Math.max(ends.get(from) ?? 0, to));
  };
  return {
    take: recordsOf(line, '\n'),
    done: () => ({
      ownerOf,
      transactions: [...ends].map(([from, to]) => ({ from, to: to + posttransSeconds })),
    }),
  };
}

/** Whether a time is in a period. The first second counts as a whole, because rpm records whole seconds. */
export function isIn({ from, to }: Period, at: number): boolean {
  return at >= from && at <= to;
}
