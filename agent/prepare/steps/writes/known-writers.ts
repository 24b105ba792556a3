import { type Writes, services } from '../../../services/services.ts';

/** A program that is known to write outside of /var. */
export interface KnownWriter extends Omit<Writes, 'paths' | 'source'> {
  id: string;
  /** Matches the paths that the program writes. */
  paths: RegExp;
  source: string;
}

/** The rows of the table of services that say what is written outside of /var. The first row that matches a path counts. */
export const knownWriters: readonly KnownWriter[] = services.flatMap(({ id, source, writes }) =>
  writes === undefined ? [] : [{ id, source, ...writes, paths: new RegExp(writes.paths) }],
);

const byTopFolder = new Map<string, readonly KnownWriter[]>();

/** Returns the row of a path; undefined if no known program writes there. */
export function knownWriterOf(path: string): KnownWriter | undefined {
  return rowsFor(path).find(({ paths }) => paths.test(path));
}

/**
 * Returns the rows whose expression contains the name of the top-level folder of a path, because testing every expression
 * would take seconds for many paths below /opt. For a file in / itself, every row is tested.
 */
function rowsFor(path: string): readonly KnownWriter[] {
  const end = path.indexOf('/', 1);
  if (end === -1) return knownWriters;
  const folder = path.slice(1, end);
  let rows = byTopFolder.get(folder);
  if (rows === undefined) {
    rows = knownWriters.filter(({ paths }) => paths.source.includes(folder));
    byTopFolder.set(folder, rows);
  }
  return rows;
}

/** Files that the scriptlets of packages write, and that no package owns: only if they change during a transaction. */
export const scriptletFiles =
  /^(\/etc\/(systemd|rc\.d|pki|ssl|fonts|gconf|dconf|pam\.d|sysconfig|profile\.d|shells|yum|dnf|nsswitch\.conf|authselect)(\/.*)?|\/usr\/(?!local\/).*)$/;
