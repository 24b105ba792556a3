import { isUtf8 } from 'node:buffer';
import { decodeBytes } from '../lib/format.ts';
import { toJson } from '../lib/unprintable.ts';
import { categoryOf } from './category.ts';
import type { Change, Unknown } from './change.ts';

/**
 * Returns a change as an object for JSON. `pathBytes` and `fromBytes` contain the bytes in base64 if a path is not valid
 * UTF-8; invalid bytes in `path` are written as \xNN.
 */
export function changeObject(change: Change): object {
  const category = categoryOf(change);
  const { what, was, from, xattrs, type, uid, gid, size, device } = change;
  return {
    ...named('path', change.path),
    layer: decodeBytes(change.layer),
    change: change.change,
    what,
    ...(from === undefined ? {} : named('from', from)),
    type,
    ...(was === undefined ? {} : { was }),
    mode: change.mode.toString(8).padStart(4, '0'),
    ...{ uid, gid, size, mtime: formatTime(change.mtime) },
    ...(type === 'char' || type === 'block' ? { device } : {}),
    ...(xattrs.length === 0 ? {} : { xattrs: xattrs.map(decodeBytes) }),
    ...(change.capable ? { capabilities: true } : {}),
    ...(category === undefined ? {} : { category }),
  };
}

/** Returns what could not be compared as an object for JSON. */
export function unknownObject({ path, layer, error }: Unknown): object {
  return { ...named('path', path), layer: decodeBytes(layer), error: decodeBytes(error) };
}

export function jsonLine(object: object): string {
  return `${toJson(object)}\n`;
}

/** Returns a path as text, and its bytes if they are not valid UTF-8. */
function named(name: string, path: string): Record<string, string> {
  const bytes = Buffer.from(path, 'latin1');
  return {
    [name]: decodeBytes(path),
    ...(isUtf8(bytes) ? {} : { [`${name}Bytes`]: bytes.toString('base64') }),
  };
}

/** The times that JavaScript's Date can represent, in milliseconds. */
const latest = 8_640_000_000_000_000n;

/** Formats nanoseconds since the epoch: "2026-11-26T10:00:00.123456789Z"; as seconds if the year is out of range. */
export function formatTime(nanoseconds: bigint): string {
  const fraction = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = (nanoseconds - fraction) / 1_000_000_000n;
  if (seconds * 1000n > latest || seconds * 1000n < -latest) return `${seconds} s`;
  const date = new Date(Number(seconds) * 1000).toISOString().replace('.000Z', '');
  return `${date}.${fraction.toString().padStart(9, '0')}Z`;
}
