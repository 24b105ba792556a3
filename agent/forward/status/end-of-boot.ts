import type { ForwardSource } from '../../facts/forwarder.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';
import { unlessSystemError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import { lastCursor } from '../../system/journalctl.ts';
import type { SystemReader } from '../../system/reader.ts';
import { entriesBetween, parseCursor } from '../../lib/journal-export/cursor.ts';

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
  if (readMountTable(reader).serving('/var')?.type !== 'overlay') return null;
  const { inodesUsed: inodes, usedBytes: bytes } = reader.usage('/var');
  return { inodes, bytes };
}

export interface Discarded {
  /** The number of journal entries that no server acknowledged; null if unknown. */
  entries: number | null;
  /** The log files with bytes that no server acknowledged. */
  files: readonly { path: string; behindBytes: number }[];
  /** The use of the upper layer of /var; undefined if it cannot be read. */
  upper: { inodes: number; bytes: number } | undefined;
}

const mostNamed = 20;

/** Describes what is discarded, in one line. Sources of which nothing is discarded are left out, except the journal. */
export function describeDiscarded({ entries, files, upper }: Discarded): string {
  const behind = files.filter(({ behindBytes }) => behindBytes > 0);
  const named = behind.slice(0, mostNamed).map(({ path, behindBytes }) => `${behindBytes} bytes of ${path}`);
  const more = behind.length - named.length;
  const parts = [
    `${entries ?? 'an unknown number of'} journal entries`,
    ...named,
    ...(more > 0 ? [`bytes of ${more} more log files`] : []),
  ];
  const layer =
    upper === undefined
      ? 'the upper layer of /var'
      : `${upper.inodes} files and directories (${formatBytes(upper.bytes)}) in the upper layer of /var`;
  return `The end of this boot discards, without acknowledgement: ${parts.join(', ')}; and ${layer}`;
}
