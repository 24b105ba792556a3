/** A message by which a program reports that it could not write to a read-only file system. */
interface RefusedWrite {
  /** The file or folder that could not be written; null if the message names none. */
  path: string | null;
}

const phrase = /read-only file ?system|\bEROFS\b/i;
/** Only the beginning of a message is examined. */
const longest = 2000;
const longestPath = 1024;

/** Matches a path in quotes, which may contain spaces. */
const quoted = /['"`‘“](\/[^'"`’”\n]+)['"`’”]/g;
/** Matches a path without quotes, but not the path of a URL. */
const bare = /(?<![\w.:/'"`‘“~-])(\/[^\s'"`’”,;:()<>|]+)/g;
/** Matches what Python prints after the phrase: [Errno 30] Read-only file system: '/opt/x' */
const afterPhrase = /^\s*:\s*['"](?=\/)/;

/** systemd names the program that it could not start, not the file that it could not write (exec_child()). */
const spawning = /\bspawning \/[^\n]*$/;
/** systemd sets up a root directory for a service here (src/core/namespace.c). */
const unitRoot = /^\/run\/systemd\/unit-root(?=\/)/;

/**
 * Finds the path in a message. Most programs name it before the phrase, as the last of all paths: "mv: cannot move
 * '/etc/x.new' to '/etc/x': Read-only file system". The message comes from any program: its path is data, not a fact.
 * @param message one character per byte or UTF-16
 * @returns undefined if the message does not report a refused write
 */
export function findRefusedWrite(message: string): RefusedWrite | undefined {
  const text = message.slice(0, longest);
  const found = phrase.exec(text);
  if (found === null) return undefined;
  const [before, after] = [text.slice(0, found.index), text.slice(found.index + found[0].length)];
  const path = afterPhrase.test(after) ? pathsIn(after)[0] : (pathsIn(before).at(-1) ?? pathsIn(after)[0]);
  return { path: spawning.test(before) ? null : normalised(path?.replace(unitRoot, '')) };
}

function pathsIn(text: string): string[] {
  const inQuotes = [...text.matchAll(quoted)].map(({ index, 1: path = '' }) => ({ index, path }));
  const isInQuotes = (at: number) =>
    inQuotes.some(({ index, path }) => at > index && at < index + path.length + 1);
  const outside = [...text.matchAll(bare)]
    .map(({ index, 1: path = '' }) => ({ index, path }))
    .filter(({ index }) => !isInQuotes(index));
  return [...inQuotes, ...outside].toSorted((a, b) => a.index - b.index).map(({ path }) => path);
}

/** Returns a path without redundant slashes; null if it is too long or is not resolved without the file system. */
export function normalised(path: string | undefined): string | null {
  if (path === undefined || !path.startsWith('/') || path.length > longestPath) return null;
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  return names.includes('..') ? null : `/${names.join('/').replace(/[.]+$/, '')}`;
}
