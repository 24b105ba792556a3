import type { ForwardSource } from '../../facts/forwarder.ts';
import { mountTable } from '../../facts/mounts/mountinfo.ts';
import { unlessSystemError } from '../../lib/errors.ts';
import { lastCursor } from '../../system/journalctl.ts';
import type { SystemReader } from '../../system/reader.ts';
import { entriesBetween, parseCursor } from '../journal/cursor.ts';
import { describeDiscarded } from './ledger.ts';

/** Describes what the end of this boot discards; undefined if /var is not an overlay, so that nothing is discarded. */
export async function describeEnd(
  reader: SystemReader,
  files: readonly ForwardSource[],
  acknowledged: string,
): Promise<string | undefined> {
  const layer = unlessSystemError(() => upperLayer(reader));
  if (layer === null) return undefined;
  const last = parseCursor((await lastCursor()) ?? '');
  const entries = last === undefined ? null : entriesBetween(parseCursor(acknowledged), last);
  return describeDiscarded({ entries, files, upper: layer });
}

/** Returns the use of the upper layer of /var; null if /var is not an overlay. @throws SystemError */
function upperLayer(reader: SystemReader): { inodes: number; bytes: number } | null {
  if (mountTable(reader.read('/proc/self/mountinfo')).serving('/var')?.type !== 'overlay') return null;
  const { inodesUsed: inodes, usedBytes: bytes } = reader.usage('/var');
  return { inodes, bytes };
}
