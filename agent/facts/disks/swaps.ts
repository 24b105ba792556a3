import { unescapeOctal } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { deviceFile } from './device-file.ts';
import { type NamedDevice, findNamedDevice } from './disks.ts';

/** A line of /proc/swaps (proc(5)). */
interface Swap {
  source: string;
  type: 'partition' | 'file';
}

/**
 * Returns the swap spaces in use, each with its device. A kernel without swap support has no /proc/swaps; the result is
 * then empty.
 * @throws SystemError
 */
export function readSwaps(reader: SystemReader): (Swap & NamedDevice)[] {
  const text = reader.readIfPresent('/proc/swaps', 1024 * 1024);
  if (text === undefined || text === '') return [];
  return parseSwaps(text).map((swap) => ({ ...swap, ...findNamedDevice(reader, deviceFile(swap.source)) }));
}

/** Parses /proc/swaps. @throws Error that names the malformed line */
export function parseSwaps(text: string): Swap[] {
  const lines = text.split('\n').filter((line) => line !== '');
  if (!lines[0]?.startsWith('Filename')) throw new Error('/proc/swaps does not begin with its heading');
  return lines.slice(1).map((line, index) => {
    // Not \s, because in JavaScript it also matches some bytes of UTF-8 characters.
    const [, source = '', type = ''] = /^([^ \t]+)[ \t]+(partition|file)[ \t]/.exec(line) ?? [];
    if (type === '') throw new Error(`/proc/swaps line ${index + 2} is malformed`);
    return {
      // The kernel appends " (deleted)" to the name of a removed file.
      source: unescapeOctal(source).replace(/ \(deleted\)$/, ''),
      type: type === 'file' ? 'file' : 'partition',
    };
  });
}
