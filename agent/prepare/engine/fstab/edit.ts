import { type Pieces, splitLine } from './line.ts';

/** What becomes of one line: its pieces, changed; or other lines in its place. */
export type Edit = (pieces: Pieces) => Pieces | { lines: string[] };

/**
 * Changes lines of a text and nothing else of it.
 * @param edits by line, 1 for the first
 */
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

/** A text with lines added at its end, after a newline where its last line has none. */
export function appendLines(text: string, lines: readonly string[]): string {
  const begin = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  return `${begin}${lines.join('\n')}\n`;
}

/** A line that no longer counts, below one that says why. */
export function commentedOut(why: string): Edit {
  return (pieces) => ({ lines: [`# immutafs-agent prepare: ${why}`, `#${pieces.join('')}`] });
}
