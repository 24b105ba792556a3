import * as v from 'valibot';
import { decodeBytes } from '../lib/format.ts';
import { parseRecord } from '../lib/json-record.ts';
import type { SystemReader } from '../system/reader.ts';

/** The file in which `check` keeps samples of the usage of the upper layer of /var, beside the report. */
export const usageHistoryFile = '/run/immutafs/usage.json';

/** The usage of the upper layer at one moment of this boot. */
export interface UsageSample {
  /** Seconds since the kernel started (CLOCK_BOOTTIME), which changes of the clock do not affect. */
  uptime: number;
  usedBytes: number;
  inodesUsed: number;
}

/** The time between two samples that are kept, in seconds, and their number: together two hours. */
const spacing = 110;
const most = 65;
/** The maximum size of the file; 65 samples take about 4 KiB. */
const maximumBytes = 65536;

/**
 * Reads the samples of this boot, the oldest first.
 * @returns an empty list if there is no file, or if another boot wrote it
 * @throws Error for a malformed file; SystemError if a user other than root can have written it
 */
export function readUsageHistory(reader: SystemReader, bootId: string): UsageSample[] {
  const text = reader.readRecord(usageHistoryFile, 'root', maximumBytes);
  if (text === undefined) return [];
  const history = parseUsageHistory(decodeBytes(text));
  return history.bootId === bootId && bootId !== '' ? history.samples : [];
}

const plausible = v.pipe(v.number(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
/** Each sample is later than the one before it. */
const historySchema = v.object({
  bootId: v.string(),
  samples: v.pipe(
    v.array(v.strictTuple([plausible, plausible, plausible])),
    v.maxLength(most),
    v.check((rows) => rows.every(([uptime], index) => index === 0 || uptime > (rows[index - 1]?.[0] ?? 0))),
  ),
});

/** Parses the file. @throws Error unless every sample is plausible */
export function parseUsageHistory(text: string): { bootId: string; samples: UsageSample[] } {
  const { bootId, samples } = parseRecord(historySchema, text, usageHistoryFile);
  return {
    bootId,
    samples: samples.map(([uptime, usedBytes, inodesUsed]) => ({ uptime, usedBytes, inodesUsed })),
  };
}

/**
 * Adds a sample and drops the oldest ones. A sample that follows the last one too closely is left out, so that the
 * history covers two hours however often `check` runs.
 */
export function withSample(samples: readonly UsageSample[], now: UsageSample): UsageSample[] {
  const earlier = samples.filter(({ uptime }) => uptime < now.uptime);
  const last = earlier.at(-1);
  if (last !== undefined && now.uptime - last.uptime < spacing) return earlier;
  return [...earlier, now].slice(-most);
}

/** Formats the file. */
export function formatUsageHistory(bootId: string, samples: readonly UsageSample[]): string {
  const rows = samples.map(({ uptime, usedBytes, inodesUsed }) => [
    Math.round(uptime * 100) / 100,
    usedBytes,
    inodesUsed,
  ]);
  return `${JSON.stringify({ schema: 1, bootId, samples: rows })}\n`;
}
