import { wrap } from '../../agent/lib/format.ts';

/** The date of both manuals; set it when their content changes. */
export const date = 'November 25, 2026';

/** Converts plain text to mdoc(7): escapes troff's special characters, and begins every sentence on a new line. */
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

/**
 * Converts a word to an argument of a macro. The prefix keeps mdoc from interpreting a word such as `Ar` as a macro.
 */
export function word(text: string): string {
  return `\\&${text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('"', '\\(dq')}`;
}

/** Returns a list of terms with their texts in mdoc(7). */
export function tagged(width: string, items: readonly (readonly [string, string])[]): string {
  return [`.Bl -tag -width ${width}`, ...items.map(([term, text]) => `.It ${term}\n${text}`), '.El'].join(
    '\n',
  );
}
