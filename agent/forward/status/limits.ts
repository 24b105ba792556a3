import type { ForwardCounts, ForwardSource } from '../../facts/forwarder.ts';
import { limitJson } from '../../lib/unprintable.ts';

/**
 * The maximum length of an error, which may quote text from a server, such as the names in its certificate, and of the
 * name of a log file, in bytes of JSON. With the maximum number of log files, the state is smaller than its readers
 * accept.
 */
const errorBytes = 500;
const pathBytes = 300;

/**
 * Limits what the owner of a log file chooses, because the readers of the state accept neither a large text nor an
 * inexact number: names may consist of control characters, and a sparse file may seem to contain 4 EiB.
 */
export function limitSource(source: ForwardSource): ForwardSource {
  return {
    path: limitJson(source.path, pathBytes),
    acknowledgedBytes: saturated(source.acknowledgedBytes),
    behindBytes: saturated(source.behindBytes),
    lostBytes: saturated(source.lostBytes),
    error: limitError(source.error),
  };
}

export function limitError(error: string): string {
  return limitJson(error, errorBytes);
}

/** Limits numbers to which a gap in the journal may add any number. */
export function limitCounts(counts: ForwardCounts): ForwardCounts {
  return {
    acknowledged: saturated(counts.acknowledged),
    repeated: saturated(counts.repeated),
    lost: saturated(counts.lost),
    corrupt: saturated(counts.corrupt),
    refused: saturated(counts.refused),
    cut: saturated(counts.cut),
    suppressed: saturated(counts.suppressed),
  };
}

function saturated(count: number): number {
  return Math.min(count, Number.MAX_SAFE_INTEGER);
}
