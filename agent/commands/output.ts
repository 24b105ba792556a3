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

/** The time after which progress is shown, and the time between two messages, in milliseconds. */
const onTerminal = { first: 1000, interval: 500 };
const elsewhere = { first: 10_000, interval: 10_000 };

/**
 * Shows on stderr what a command is doing, if it takes long: on a terminal in one line that is overwritten, elsewhere as a
 * line every ten seconds, which begins with "immutafs-agent: progress: ".
 * @param clock returns milliseconds
 */
export function progressTo(
  { stderr, errorTerminal = false }: Pick<Output, 'stderr' | 'errorTerminal'>,
  clock: () => number = () => performance.now(),
): { show: (text: string) => void; end: () => void } {
  const began = clock();
  const { first, interval } = errorTerminal ? onTerminal : elsewhere;
  let next = began + first;
  let isShown = false;
  return {
    show: (text) => {
      const now = clock();
      if (now < next) return;
      next = now + interval;
      const line = `${clean(decodeBytes(text))} (${Math.round((now - began) / 1000)} s)`;
      stderr(errorTerminal ? `\r\x1b[K${line.slice(0, 79)}` : `immutafs-agent: progress: ${line}\n`);
      isShown = errorTerminal;
    },
    end: () => {
      if (isShown) stderr('\r\x1b[K');
      isShown = false;
    },
  };
}
