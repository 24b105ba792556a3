import { wrap } from '../../agent/lib/format.ts';

/** Of both manuals; to be set when what is said in them changes. */
export const date = 'November 25, 2026';

/** Plain text in mdoc(7): what troff would take for its own is escaped. A sentence begins a line of its own. */
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

/** A word as an argument of a macro, where some two letters are macros themselves. */
export function word(text: string): string {
  return `\\&${text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('"', '\\(dq')}`;
}

/** A list of terms, each with its text. */
export function tagged(width: string, items: readonly (readonly [string, string])[]): string {
  return [`.Bl -tag -width ${width}`, ...items.map(([term, text]) => `.It ${term}\n${text}`), '.El'].join(
    '\n',
  );
}
