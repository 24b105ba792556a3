import { type FstabLine, parseFstab } from '../../facts/mounts/fstab.ts';

/*
 * Changes lines of fstab(5) and keeps every other byte. Texts have one character a byte; the escapes of a field stay as
 * they are written.
 */

/** A line without its newline: fields at the odd indexes, the blanks between them at the even ones. */
export type Pieces = string[];

/** What a line becomes: its pieces, changed, or other lines in its place. */
export type Edit = (pieces: Pieces) => Pieces | { lines: string[] };

/** @param edits by line number, 1 for the first line */
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

/** Adds lines at the end, after a newline if the last line has none. */
export function appendLines(text: string, lines: readonly string[]): string {
  const begin = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  return `${begin}${lines.join('\n')}\n`;
}

/** Comments out a line, below a comment that gives the reason. */
export function commentedOut(why: string): Edit {
  return (pieces) => ({ lines: [`# immutafs-agent prepare: ${why}`, `#${pieces.join('')}`] });
}

export function linesOf(text: string, target: string): FstabLine[] {
  return parseFstab(text).lines.filter((line) => line.target === target);
}

/** Comments out the lines of a target. The new line takes the place of the first one, or is added at the end. */
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

/** Sets options in every line of a target, and removes those that contradict them. */
export function setOptions(text: string, target: string, wanted: readonly string[]): string {
  const edit: Edit = (pieces) => withOptions(pieces, mergeOptions(optionsOf(pieces), wanted));
  return editText(text, new Map(linesOf(text, target).map(({ line }) => [line, edit])));
}

export function splitLine(line: string): Pieces {
  const body = line.replace(/[ \t\r]+$/, '');
  const pieces = body.split(/([^ \t]+)/);
  return [...pieces.slice(0, -1), `${pieces.at(-1) ?? ''}${line.slice(body.length)}`];
}

/** @param pieces with at least three fields; a line without options has the default ones */
export function optionsOf(pieces: Pieces): string[] {
  return (pieces[optionsIndex] ?? 'defaults').split(',');
}

const optionsIndex = 7;
const passIndex = 11;

export function withOptions(pieces: Pieces, options: readonly string[]): Pieces {
  return withField(pieces, optionsIndex, options.join(','));
}

/** Sets fs_passno; a line without the field has 0. */
export function withPass(pieces: Pieces, pass: number): Pieces {
  return pieces[passIndex] === undefined && pass === 0 ? pieces : withField(pieces, passIndex, `${pass}`);
}

const defaults: Record<number, string> = { 7: 'defaults', 9: '0', 11: '0' };

/** Adds the fields before it, too, where they are missing. */
function withField(pieces: Pieces, index: number, text: string): Pieces {
  const result = [...pieces];
  while (result.length <= index) {
    // What follows the last field stays at the end of the line.
    const end = result.pop() ?? '';
    result.push(' ', defaults[result.length + 1] ?? '', end);
  }
  result[index] = text;
  return result;
}

/**
 * Adds an option in the place of its opposite: of two opposites the last one counts (mount(8)).
 * @param opposite is removed: rw for ro
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
