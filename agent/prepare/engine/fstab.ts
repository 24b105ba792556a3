import { type FstabLine, parseFstab } from '../../facts/mounts/fstab.ts';

/*
 * Functions that change lines of fstab(5) and leave every other byte unchanged. Texts have one character per byte.
 * Escapes in fields are not decoded.
 */

/** Changes a line. The result may have several lines. */
export type Edit = (line: string) => string;

/** Applies edits to the lines of a text. @param edits by line number, counted from 1 */
export function editText(text: string, edits: ReadonlyMap<number, Edit>): string {
  return text
    .split('\n')
    .map((line, index) => edits.get(index + 1)?.(line) ?? line)
    .join('\n');
}

/** Appends lines to a text. If the last line of the text has no newline, one is added. */
export function appendLines(text: string, lines: readonly string[]): string {
  const begin = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  return `${begin}${lines.join('\n')}\n`;
}

/** Returns an edit that comments out a line, and puts a comment with the reason above it. */
export function commentedOut(why: string): Edit {
  return (line) => `# immutafs-agent prepare: ${why}\n#${line}`;
}

export function linesOf(text: string, target: string): FstabLine[] {
  return parseFstab(text).lines.filter((line) => line.target === target);
}

/** Comments out the lines of a target and adds a new line, after the first of these lines or at the end of the text. */
export function replaceLines(text: string, target: string, added: string): string {
  const [first, ...others] = linesOf(text, target).map(({ line }) => line);
  if (first === undefined) return appendLines(text, [added]);
  const edits = new Map<number, Edit>(others.map((number) => [number, (line) => `#${line}`]));
  return editText(
    text,
    edits.set(first, (line) => `#${line}\n${added}`),
  );
}

export function setOptions(text: string, target: string, wanted: readonly string[]): string {
  const edit: Edit = (line) => withOptions(line, mergeOptions(optionsOf(line), wanted));
  return editText(text, new Map(linesOf(text, target).map(({ line }) => [line, edit])));
}

/** Returns the options of a line with at least three fields; "defaults" if it has none. */
export function optionsOf(line: string): string[] {
  return (fieldsOf(line)[3]?.replace(/^[ \t]+/, '') ?? 'defaults').split(',');
}

export function withOptions(line: string, options: readonly string[]): string {
  return withField(line, 3, options.join(','));
}

/** Sets fs_passno to 0, which a line without this field has already. */
export function withoutPass(line: string): string {
  return fieldsOf(line)[5] === undefined ? line : withField(line, 5, '0');
}

/** Returns the fields of a line, each with the blanks before it. */
function fieldsOf(line: string): string[] {
  return line.replace(/[ \t\r]+$/, '').match(/[ \t]*[^ \t]+/g) ?? [];
}

/** Sets a field, or adds it to a line that has all fields before it. */
function withField(line: string, index: number, text: string): string {
  const fields = fieldsOf(line);
  const end = line.slice(fields.join('').length);
  const [blanks = ''] = /^[ \t]*/.exec(fields[index] ?? ' ') ?? [];
  fields[index] = `${blanks}${text}`;
  return `${fields.join('')}${end}`;
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
