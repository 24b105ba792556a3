import { decodeBytes, parseJson } from '../lib/format.ts';
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

/** Parses the file. @throws Error unless every sample is plausible and later than the one before it */
export function parseUsageHistory(text: string): { bootId: string; samples: UsageSample[] } {
  const file = parseJson(text, usageHistoryFile);
  const { bootId, samples } = (typeof file === 'object' && file !== null ? file : {}) as {
    bootId?: unknown;
    samples?: unknown;
  };
  if (typeof bootId !== 'string' || !Array.isArray(samples) || samples.length > most)
    throw new Error(`${usageHistoryFile}: not a usage history`);
  let last = -1;
  return {
    bootId,
    samples: samples.map((each: unknown) => {
      const sample = parseSample(each);
      if (sample === undefined || sample.uptime <= last)
        throw new Error(`${usageHistoryFile}: a sample is invalid`);
      last = sample.uptime;
      return sample;
    }),
  };
}

function parseSample(value: unknown): UsageSample | undefined {
  if (!Array.isArray(value) || value.length !== 3) return undefined;
  const numbers: unknown[] = value;
  const isPlausible = numbers.every(
    (each) =>
      typeof each === 'number' && Number.isFinite(each) && each >= 0 && each <= Number.MAX_SAFE_INTEGER,
  );
  if (!isPlausible) return undefined;
  const [uptime = 0, usedBytes = 0, inodesUsed = 0] = numbers as number[];
  return { uptime, usedBytes, inodesUsed };
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
