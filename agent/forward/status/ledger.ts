import { formatBytes } from '../../lib/format.ts';

/** What a sealed boot discards when it ends. */
export interface Discarded {
  /** The number of journal entries that no server acknowledged; null if unknown. */
  entries: number | null;
  /** The log files with bytes that no server acknowledged. */
  files: readonly { path: string; behindBytes: number }[];
  /** The use of the upper layer of /var; undefined if it cannot be read. */
  upper: { inodes: number; bytes: number } | undefined;
}

/** The maximum number of log files that are named. */
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
