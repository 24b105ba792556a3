import { clean, decodeBytes } from '../lib/format.ts';

/** Where a command writes. */
export interface Output {
  stdout: (text: string) => void;
  stderr: (text: string) => void;
  /** Whether stdout is a terminal that takes colours. */
  terminal: boolean;
  /** Whether stderr is a terminal. */
  errorTerminal?: boolean;
  /** Width of the terminal; undefined if stdout is not a terminal. */
  columns?: number | undefined;
}

/** The format of a report. */
export interface ReportOptions {
  all?: boolean;
  json?: boolean;
  prometheus?: boolean;
  color: 'auto' | 'always' | 'never';
}

/** The time after which progress is shown, and the time between two messages, in milliseconds. */
const first = 1000;
const interval = 500;

/**
 * Shows on stderr what a command is doing, if it takes longer than a second and stderr is a terminal, in one line that is
 * overwritten. Elsewhere, such as in a playbook that reports stderr as the reason of a failure, nothing is shown.
 * @param clock returns milliseconds
 */
export function progressTo(
  { stderr, errorTerminal = false }: Output,
  clock: () => number = () => performance.now(),
): { show: (text: string) => void; end: () => void } {
  const began = clock();
  let next = began + first;
  let isShown = false;
  return {
    show: (text) => {
      const now = clock();
      if (!errorTerminal || now < next) return;
      next = now + interval;
      const line = `${clean(decodeBytes(text))} (${Math.round((now - began) / 1000)} s)`;
      stderr(`\r\x1b[K${line.slice(0, 79)}`);
      isShown = true;
    },
    end: () => {
      if (isShown) stderr('\r\x1b[K');
      isShown = false;
    },
  };
}
