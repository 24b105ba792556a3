import type { LogFile } from '../../system/log-file.ts';

/**
 * Runs of NUL bytes in log files: holes, which a program leaves that continues at its old offset after copytruncate, or
 * which the owner of a log makes with truncate(1), up to exbibytes without using any space. They are no text.
 */

/** The shortest run that is skipped: a page, the smallest hole. */
const run = Buffer.alloc(4096);
const zeros = Buffer.alloc(64 * 1024);
/** How much is examined before other logs have their turn. */
const scanBytes = 16 * 1024 * 1024;
/** The maximum number of bytes in holes that are examined one after another. */
const mostHoles = 1024 * 1024 * 1024;

/** Returns the offset of the first run of NUL bytes that is long enough to be skipped; -1 if there is none. */
export function nulRunIn(bytes: Buffer): number {
  return bytes.indexOf(run);
}

/**
 * Finds the end of a run of NUL bytes, but examines at most 16 MiB. A file of which more than 1 GiB cannot be anything but
 * holes, because it does not use that much space, is not examined any further: its data may all be at its end.
 * @param from the beginning of the run
 * @param bytes the size of the file
 * @param buffer is overwritten
 * @returns `end`, and `beyond`, the offset at which to go on, which is larger if a part of the file is not examined;
 *     `isOpen` if the run may continue after `end`
 */
export function endOfNuls(
  file: LogFile,
  from: number,
  bytes: number,
  buffer: Buffer,
): { end: number; beyond: number; isOpen: boolean } {
  const to = Math.min(bytes, from + scanBytes);
  let end = from;
  while (end < to) {
    const count = file.read(buffer.subarray(0, Math.min(buffer.length, to - end)), end);
    const nuls = leadingNuls(buffer.subarray(0, count));
    end += nuls;
    if (nuls < count || count === 0) return { end, beyond: end, isOpen: false };
  }
  const last = bytes - file.stat().allocated;
  return { end, beyond: last - end > mostHoles ? last : end, isOpen: end < bytes };
}

function leadingNuls(bytes: Buffer): number {
  let at = 0;
  while (at < bytes.length) {
    const part = bytes.subarray(at, at + zeros.length);
    if (!part.equals(zeros.subarray(0, part.length))) return at + part.findIndex((byte) => byte !== 0);
    at += part.length;
  }
  return at;
}
