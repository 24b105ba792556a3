import { type Style, painter } from '../lib/color.ts';
import { clean, wrap } from '../lib/format.ts';

/** One entry of a view: a label, and a text that wraps with a hanging indent behind the label. */
export interface Line {
  label: string;
  /** Between label and text, without the label's style. */
  gap?: string;
  text: string;
  labelStyle?: readonly Style[];
  textStyle?: Style;
}

export interface LayoutOptions {
  /** Whether labels and texts get colours. */
  color: boolean;
  /** Width of the terminal; undefined: lines are not wrapped. */
  columns: number | undefined;
}

/** Narrower terminals are treated as being this wide. */
const minimum = 40;

/**
 * Lays out a view, one line or several for each entry. Control characters in labels and texts are replaced, because
 * names of files, mounts and servers must not control the terminal.
 */
export function layOut(lines: readonly Line[], { color, columns }: LayoutOptions): string {
  const paint = painter(color);
  return lines
    .flatMap(({ label, gap = '', text, labelStyle = [], textStyle }) => {
      const shown = clean(label);
      const painted = `${labelStyle.reduce((styled, style) => paint(style, styled), shown)}${clean(gap)}`;
      return broken(clean(text), shown.length + gap.length, columns).map(({ indent, part }, index) => {
        const body = textStyle === undefined || part === '' ? part : paint(textStyle, part);
        return `${index === 0 ? painted : ' '.repeat(indent)}${body}\n`;
      });
    })
    .join('');
}

/** The parts of a text, each with the columns before it. */
function broken(
  text: string,
  label: number,
  columns: number | undefined,
): { indent: number; part: string }[] {
  if (columns === undefined) return [{ indent: label, part: text }];
  const width = Math.max(columns, minimum);
  // A label that takes half of the terminal leaves too little room for a text behind it.
  const indent = label <= width / 2 ? label : 4;
  const [first = '', ...rest] = wrap(text, width - label);
  const others = rest.length === 0 ? [] : wrap(rest.join(' '), width - indent);
  return [{ indent: label, part: first }, ...others.map((part) => ({ indent, part }))];
}
