import { type FstabLine, parseFstab } from '../../facts/mounts/fstab.ts';

/*
 * Functions that change lines of fstab(5) and leave every other byte unchanged. Texts have one character per byte.
 * Escapes in fields are not decoded.
 */

/** A line without its newline, split into fields (at odd indexes) and the blanks between them (at even indexes). */
type Pieces = string[];

/** Changes a line: returns the changed pieces, or the lines that replace the line. */
export type Edit = (pieces: Pieces) => Pieces | { lines: string[] };

/** Applies edits to the lines of a text. @param edits by line number, counted from 1 */
export function editText(text: string, edits: ReadonlyMap<number, Edit>): string {
  return text
    .split('\n')
    .flatMap((line, index) => {
      const edited = edits.get(index + 1)?.(splitLine(line));
      if (edited === undefined) return [line];
      return Array.isArray(edited) ? [edited.join('')] : edited.lines;
    })
    .join('\n');
}

/** Appends lines to a text. If the last line of the text has no newline, one is added. */
export function appendLines(text: string, lines: readonly string[]): string {
  const begin = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  return `${begin}${lines.join('\n')}\n`;
}

/** Returns an edit that comments out a line, and puts a comment with the reason above it. */
export function commentedOut(why: string): Edit {
  return (pieces) => ({ lines: [`# immutafs-agent prepare: ${why}`, `#${pieces.join('')}`] });
}

export function linesOf(text: string, target: string): FstabLine[] {
  return parseFstab(text).lines.filter((line) => line.target === target);
}

/** Comments out the lines of a target and adds a new line, after the first of these lines or at the end of the text. */
export function replaceLines(text: string, target: string, added: string): string {
  const [first, ...others] = linesOf(text, target).map(({ line }) => line);
  if (first === undefined) return appendLines(text, [added]);
  const comment = (pieces: Pieces) => `#${pieces.join('')}`;
  const edits = new Map<number, Edit>(
    others.map((line) => [line, (pieces) => ({ lines: [comment(pieces)] })]),
  );
  edits.set(first, (pieces) => ({ lines: [comment(pieces), added] }));
  return editText(text, edits);
}

/** Adds options to every line of a target, and removes options that contradict them. */
export function setOptions(text: string, target: string, wanted: readonly string[]): string {
  const edit: Edit = (pieces) => withOptions(pieces, mergeOptions(optionsOf(pieces), wanted));
  return editText(text, new Map(linesOf(text, target).map(({ line }) => [line, edit])));
}

export function splitLine(line: string): Pieces {
  const body = line.replace(/[ \t\r]+$/, '');
  const pieces = body.split(/([^ \t]+)/);
  return [...pieces.slice(0, -1), `${pieces.at(-1) ?? ''}${line.slice(body.length)}`];
}

/** Returns the options of a line; "defaults" if the line has none. @param pieces with at least three fields */
export function optionsOf(pieces: Pieces): string[] {
  return (pieces[optionsIndex] ?? 'defaults').split(',');
}

const optionsIndex = 7;
const passIndex = 11;

export function withOptions(pieces: Pieces, options: readonly string[]): Pieces {
  return withField(pieces, optionsIndex, options.join(','));
}

/** Sets fs_passno. A line without this field already has the value 0. */
export function withPass(pieces: Pieces, pass: number): Pieces {
  return pieces[passIndex] === undefined && pass === 0 ? pieces : withField(pieces, passIndex, `${pass}`);
}

const defaults: Record<number, string> = { 7: 'defaults', 9: '0', 11: '0' };

/** Sets a field, and adds missing fields before it with their default values. */
function withField(pieces: Pieces, index: number, text: string): Pieces {
  const result = [...pieces];
  while (result.length <= index) {
    // Trailing blanks stay at the end of the line.
    const end = result.pop() ?? '';
    result.push(' ', defaults[result.length + 1] ?? '', end);
  }
  result[index] = text;
  return result;
}

/**
 * Adds an option at the position of its opposite, because of two opposite options the last one takes effect (mount(8)).
 * @param opposite the option to remove, for example rw if ro is added
 */
export function addOption(options: readonly string[], wanted: string, opposite: string): string[] {
  const index = options.indexOf(opposite);
  const rest = options.filter((option) => option !== opposite);
  if (rest.includes(wanted)) return rest;
  return index < 0 ? [...rest, wanted] : rest.toSpliced(index, 0, wanted);
}

/** Appends options (noexec, nodev, …) and removes their opposites (exec, dev, …). */
export function mergeOptions(before: readonly string[], wanted: readonly string[]): string[] {
  const opposites = new Set(wanted.map((option) => option.replace(/^no/, '')));
  const kept = before.filter((option) => !opposites.has(option) && !wanted.includes(option));
  return [...kept, ...wanted];
}
