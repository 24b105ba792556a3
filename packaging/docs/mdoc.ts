import { wrap } from '../../agent/lib/format.ts';

/** The date of both manuals; set it when their content changes. */
export const date = 'November 25, 2026';

/** Plain text in mdoc(7): troff's special characters are escaped, and every sentence begins on a new line. */
export function prose(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replace(/([.:;?!]) (?=[A-Z/])/g, '$1\n')
    .split('\n')
    .flatMap((line) => wrap(line, 70))
    .join('\n')
    .replaceAll('-', '\\-')
    .replace(/`([^`]+)`/g, (_, code: string) => `\\fB${code.replaceAll('\n', ' ')}\\fP`)
    .replace(/^[.']/gm, '\\&$&');
}

/** A word as an argument of a macro; the prefix keeps a word such as `Ar` from being taken as a macro. */
export function word(text: string): string {
  return `\\&${text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('"', '\\(dq')}`;
}

/** A list of terms with their texts. */
export function tagged(width: string, items: readonly (readonly [string, string])[]): string {
  return [`.Bl -tag -width ${width}`, ...items.map(([term, text]) => `.It ${term}\n${text}`), '.El'].join(
    '\n',
  );
}
