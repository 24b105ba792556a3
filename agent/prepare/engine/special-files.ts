/** The files that the mount options nosuid and nodev make useless, and whiteouts, as find(1) finds and prints them. */

/** The timeout of a search, in milliseconds. */
export const searchLimit = 120_000;

/** The expression that matches set-user-ID and set-group-ID programs, and device files. */
export const isSpecial: readonly string[] = '( -type f -perm /6000 -o -type b -o -type c )'.split(' ');

/** The action that prints "MAJOR:MINOR MODE PATH" for each of them; the numbers are hexadecimal. */
export const printSpecial: readonly string[] = [
  ...['-exec', '/usr/bin/stat', '--printf', '%t:%T %f %n\\0', '--', '{}', '+'],
];

/** A whiteout is a character device 0:0, with which overlayfs hides a file of a lower layer. */
export interface SpecialFile {
  kind: 'programs' | 'devices' | 'whiteouts';
  /** One character per byte (latin1). */
  path: string;
}

/** Parses a record of `printSpecial`, without its NUL. @returns undefined if the record is something else */
export function parseSpecial(record: string): SpecialFile | undefined {
  const [, device = '', mode = '', path] = /^([\da-f]+:[\da-f]+) ([\da-f]+) (\/.*)$/s.exec(record) ?? [];
  if (path === undefined) return undefined;
  // S_IFMT, S_IFREG and S_IFCHR (inode(7))
  const type = parseInt(mode, 16) & 0o170000;
  if (type === 0o100000) return { kind: 'programs', path };
  return { kind: type === 0o20000 && device === '0:0' ? 'whiteouts' : 'devices', path };
}
