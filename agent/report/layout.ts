import { styleText } from 'node:util';
import { clean, wrap } from '../lib/format.ts';

/** One entry of a view: a label, followed by a text that is wrapped with a hanging indent. */
export interface Line {
  label: string;
  /** The characters between label and text, which are not styled. */
  gap?: string;
  /** Additional indent of continuation lines, so that no continuation line looks like a separate entry. */
  hang?: number;
  text: string;
  labelStyle?: readonly Style[];
  textStyle?: Style;
}

export interface LayoutOptions {
  /** Whether labels and texts are coloured. */
  color: boolean;
  /** Width of the terminal; undefined if lines are not wrapped. */
  columns: number | undefined;
}

/** Minimum width; narrower terminals are treated as if they had this width. */
const minimum = 40;

/** Returns the width at which lines are wrapped on a terminal with the given number of columns. */
export function usedColumns(columns: number): number {
  return Math.max(columns, minimum);
}

/**
 * Formats each entry of a view as one or several lines. Replaces control characters in labels and texts, because the
 * names of files, mounts and servers must not control the terminal.
 */
export function layOut(lines: readonly Line[], { color, columns }: LayoutOptions): string {
  const paint = painter(color);
  return lines
    .flatMap(({ label, gap = '', hang = 0, text, labelStyle = [], textStyle }) => {
      const shown = clean(label);
      const painted = `${labelStyle.reduce((styled, style) => paint(style, styled), shown)}${clean(gap)}`;
      return broken(clean(text), shown.length + gap.length, hang, columns).map(({ indent, part }, index) => {
        const body = textStyle === undefined || part === '' ? part : paint(textStyle, part);
        return `${index === 0 ? painted : ' '.repeat(indent)}${body}\n`;
      });
    })
    .join('');
}

/** Splits a text into lines that fit the terminal. `indent` is the number of columns to the left of the line. */
function broken(
  text: string,
  label: number,
  hang: number,
  columns: number | undefined,
): { indent: number; part: string }[] {
  if (columns === undefined) return [{ indent: label, part: text }];
  const width = usedColumns(columns);
  // After a label wider than half of the terminal, indent continuation lines by only four columns.
  const indent = (label <= width / 2 ? label : 4) + hang;
  const [first = '', ...rest] = wrap(text, width - label);
  const others = rest.length === 0 ? [] : wrap(rest.join(' '), width - indent);
  return [{ indent: label, part: first }, ...others.map((part) => ({ indent, part }))];
}

export type Style = 'bold' | 'dim' | 'green' | 'red' | 'yellow';
export type Paint = (style: Style, text: string) => string;

/** Returns a function that styles texts. @param color whether to use colours; the output is not checked here */
export function painter(color: boolean): Paint {
  return (style, text) => (color ? styleText(style, text, { validateStream: false }) : text);
}
