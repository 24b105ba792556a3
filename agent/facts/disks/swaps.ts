import { unescapeOctal } from '../../lib/format.ts';

/** A line of /proc/swaps (proc(5)). */
export interface Swap {
  source: string;
  type: 'partition' | 'file';
}

/** @throws Error naming the line that is not of the form */
export function parseSwaps(text: string): Swap[] {
  const lines = text.split('\n').filter((line) => line !== '');
  if (!lines[0]?.startsWith('Filename')) throw new Error('/proc/swaps does not begin with its heading');
  return lines.slice(1).map((line, index) => {
    // Not \s: JavaScript takes a byte of UTF-8 for white space.
    const [, source = '', type = ''] = /^([^ \t]+)[ \t]+(partition|file)[ \t]/.exec(line) ?? [];
    if (type === '') throw new Error(`/proc/swaps line ${index + 2} is malformed`);
    return {
      // A file that was removed is still named, with a mark behind it.
      source: unescapeOctal(source).replace(/ \(deleted\)$/, ''),
      type: type === 'file' ? 'file' : 'partition',
    };
  });
}
