import path from 'node:path';
import { type Config, words } from '../config/config.ts';
import { unlessSystemError } from '../lib/errors.ts';
import { namesIfReadable } from '../system/names.ts';
import type { SystemReader } from '../system/reader.ts';
import { type Declaration, readDeclarations } from './declared-directories.ts';
import { isBelow } from './mounts/mountinfo.ts';

/** The directories in which files are examined: most programs write only caches and logs there. */
export const examinedDirectories: readonly string[] = ['/var/cache', '/var/log'];

/**
 * Returns whether a file below these directories is a cache or a log, as far as its name and the configuration of the guest
 * say it: a unit declares its directory with CacheDirectory= or LogsDirectory=; logrotate or FORWARD_FILES names it; or
 * its name is that of a log. The configuration is read when it is first needed.
 */
export function expendableFiles(
  reader: SystemReader,
  config: Pick<Config, 'FORWARD_FILES'>,
  declarations: () => readonly Declaration[] = () =>
    readDeclarations(reader, examinedDirectories).declarations,
): (file: string) => boolean {
  let known: { directories: string[]; patterns: string[] } | undefined;
  return (file) => {
    if (isBelow(file, '/var/log') && isLogName(path.posix.basename(file))) return true;
    known ??= {
      directories: declarations()
        .filter(({ setting }) => setting === 'CacheDirectory=' || setting === 'LogsDirectory=')
        .map((each) => each.path)
        .filter((each) => !examinedDirectories.includes(each)),
      patterns: [...words(config.FORWARD_FILES), ...readRotated(reader)],
    };
    if (known.directories.some((directory) => isBelow(file, directory))) return true;
    const names = [file, withoutRotation(file)];
    return known.patterns.some((pattern) => names.some((name) => path.posix.matchesGlob(name, pattern)));
  };
}

/** The endings of files that are no logs, whatever the rest of the name. */
const dataEndings =
  /\.(db|sqlite3?|mdb|ldb|dat|data|csv|rdb|aof|index|idx|dump|sql|tar|tgz|zip|key|pem|ibd|frm)$/i;
/** The words at which the name of a log is recognised: acme.log, error_log, mainlog; mail.err, catalina.out. */
const logWord =
  /^([a-z0-9]*log|logs|err|errs|errors?|out|stdout|stderr|access|audit|debug|trace|warn|info)$/i;
/** Words that end in "log" and name data. */
const dataWord = /(bin|relay|redo|undo|trans|tx|back|commit|cata|dia)log$/i;

/** Whether a name is that of a log, also of one that was rotated and compressed. */
export function isLogName(name: string): boolean {
  const plain = withoutRotation(name);
  if (dataEndings.test(plain)) return false;
  const parts = plain.split(/[._@+-]+/);
  return !parts.some((part) => dataWord.test(part)) && parts.some((part) => logWord.test(part));
}

/** Removes what logrotate and other programs add to the name of a rotated log: numbers, dates, "old", and ".gz". */
function withoutRotation(name: string): string {
  return name.replace(/\.(gz|xz|bz2|zst|lz4|Z)$/, '').replace(/([-._](\d[\dT:_-]*|old|prev))+$/, '');
}

/** Returns the patterns of the files that logrotate(8) rotates. */
function readRotated(reader: SystemReader): string[] {
  const directory = '/etc/logrotate.d';
  const files = namesIfReadable(reader, directory).map((name) => `${directory}/${name}`);
  return ['/etc/logrotate.conf', ...files].flatMap((file) =>
    rotatedFiles(unlessSystemError(() => reader.readIfPresent(file, 65536)) ?? ''),
  );
}

/** Parses the patterns before each block of a configuration of logrotate. */
export function rotatedFiles(text: string): string[] {
  const blocks = text
    .replace(/^\s*#.*$/gm, '')
    .replace(/^\s*(pre|post|first|last)(rotate|action)\b[^]*?^\s*endscript\b/gm, '')
    .matchAll(/([^{}]*)\{[^{}]*\}/g);
  return [...blocks].flatMap(([, head = '']) =>
    [...head.matchAll(/"(\/[^"]+)"|(?<=^|\s)(\/\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? ''),
  );
}
