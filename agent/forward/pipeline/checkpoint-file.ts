import type { SystemReader } from '../../system/reader.ts';
import { HostError } from '../../lib/errors.ts';
import { forwardFolder } from '../../facts/forwarder.ts';
import { parseCursor } from '../journal/cursor.ts';

export const positionFile = `${forwardFolder}/cursor`;

/**
 * The cursor of the last entry that the server acknowledged, if it is of this boot and not of the future.
 * @param bootId 32 hexadecimal digits
 * @param monotonic microseconds since the boot
 * @returns '' where the boot's first entry is the one to begin with, and why if that is a surprise
 */
export function readPosition(
  reader: SystemReader,
  bootId: string,
  monotonic: number,
): { cursor: string; problem?: string } {
  let text: string | undefined;
  try {
    text = reader.readRecord(positionFile, 'folder', 4096);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { cursor: '', problem: error.message };
  }
  if (text === undefined) return { cursor: '' };
  const [, boot, cursor = ''] = /^BOOT=([0-9a-f]{32})\nCURSOR=(\S+)\n$/.exec(text) ?? [];
  const parsed = parseCursor(cursor);
  if (boot === undefined || parsed === undefined)
    return { cursor: '', problem: `${positionFile} is garbage` };
  if (boot !== bootId) return { cursor: '' };
  if (parsed.boot !== bootId)
    return { cursor: '', problem: `the cursor in ${positionFile} is of another boot` };
  if (parsed.monotonic > monotonic)
    return { cursor: '', problem: `the cursor in ${positionFile} is of the future` };
  return { cursor };
}

/** @throws HostError */
export function writePosition(reader: SystemReader, bootId: string, cursor: string): void {
  reader.writeAtomically(positionFile, `BOOT=${bootId}\nCURSOR=${cursor}\n`, 0o644);
}
