import type { UsageSample } from '../facts/records.ts';

/** When the upper layer of /var is full, if its usage continues to grow as it does now. */
export interface Forecast {
  secondsUntilFull: number;
  /** What is exhausted first. */
  limit: 'bytes' | 'inodes';
  bytesPerSecond: number;
  inodesPerSecond: number;
  /** The period in which the growth was measured. */
  overSeconds: number;
}

interface Limits {
  sizeBytes: number;
  inodes: number;
}

/** A rate over a shorter period is not extrapolated, in seconds. */
const shortest = 600;
/** The periods that are compared, in seconds: the last ten minutes, half an hour, and all samples (two hours). */
const periods = [shortest, 1800, Infinity];
/** How far a rate is extrapolated, as a multiple of the period in which it was measured. */
const farthest = 100;
/** The minimum number of intervals between samples. */
const fewest = 4;

/**
 * Forecasts when the layer is full. The rate of a period is its growth per second without its largest single step up or
 * down: one program that once writes or removes many files is not a trend. The forecast is that of the period whose rate
 * fills the layer first, so that growth that began recently counts in full. There is no forecast if the usage is flat or
 * shrinks, if fewer than ten minutes or four intervals were observed, or if the moment is farther away than a hundred
 * times the period observed.
 * @param samples of this boot, the oldest first
 * @param now the usage that was measured now
 */
export function forecastUsage(
  samples: readonly UsageSample[],
  now: UsageSample,
  limits: Limits,
): Forecast | undefined {
  const all = [...samples.filter(({ uptime }) => uptime < now.uptime), now];
  const forecasts = periods.flatMap((period) => {
    // One sample more than the period, so that the samples cover it.
    const index = all.findLastIndex(({ uptime }) => now.uptime - uptime >= period);
    return forecastOver(all.slice(Math.max(0, index)), limits) ?? [];
  });
  return forecasts.toSorted((a, b) => a.secondsUntilFull - b.secondsUntilFull)[0];
}

function forecastOver(samples: readonly UsageSample[], { sizeBytes, inodes }: Limits): Forecast | undefined {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || samples.length <= fewest) return undefined;
  const overSeconds = last.uptime - first.uptime;
  if (overSeconds < shortest) return undefined;
  const bytesPerSecond = rateOf(samples, ({ usedBytes }) => usedBytes);
  const inodesPerSecond = rateOf(samples, ({ inodesUsed }) => inodesUsed);
  const bytes = secondsUntil(sizeBytes - last.usedBytes, bytesPerSecond, sizeBytes);
  const files = secondsUntil(inodes - last.inodesUsed, inodesPerSecond, inodes);
  const secondsUntilFull = Math.min(bytes, files);
  if (secondsUntilFull > overSeconds * farthest) return undefined;
  return {
    secondsUntilFull: Math.round(secondsUntilFull),
    limit: bytes <= files ? 'bytes' : 'inodes',
    bytesPerSecond: rounded(bytesPerSecond),
    inodesPerSecond: rounded(inodesPerSecond),
    overSeconds: Math.round(overSeconds),
  };
}

/** Returns the growth per second without the largest single step; negative if the usage shrinks. */
function rateOf(samples: readonly UsageSample[], value: (sample: UsageSample) => number): number {
  let [growth, seconds] = [0, 0];
  let largest = { growth: 0, seconds: 0 };
  samples.slice(1).forEach((sample, index) => {
    const before = samples[index] ?? sample;
    const step = { growth: value(sample) - value(before), seconds: sample.uptime - before.uptime };
    growth += step.growth;
    seconds += step.seconds;
    if (Math.abs(step.growth) > Math.abs(largest.growth)) largest = step;
  });
  return seconds > largest.seconds ? (growth - largest.growth) / (seconds - largest.seconds) : 0;
}

/** Returns the seconds until `rest` is used; infinite for a layer without a limit, or without growth. */
function secondsUntil(rest: number, rate: number, limit: number): number {
  if (limit <= 0 || rate <= 0) return Infinity;
  return Math.max(0, rest) / rate;
}

function rounded(rate: number): number {
  return Math.round(rate * 1000) / 1000;
}
