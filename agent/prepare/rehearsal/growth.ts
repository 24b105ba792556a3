import { readBootEnv } from '../../facts/boot/boot-env.ts';
import { layersOf } from '../../facts/boot/overlays.ts';
import { scratchInMemory } from '../../facts/boot/scratch.ts';
import type { Config } from '../../config/config.ts';
import { type LargestFile, findLargestFiles } from '../../facts/largest-files.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';
import { unlessSystemError } from '../../lib/errors.ts';
import type { SystemReader, Usage } from '../../system/reader.ts';
import type { Forecast, Growth } from './record.ts';

/** The use of the tmpfs that all layers share, at one moment. */
export interface Sample {
  /** Seconds since the kernel started. */
  at: number;
  usage: Usage;
  /** The largest folders and files of all layers. */
  largest: readonly LargestFile[];
}

/** The tmpfs with the upper layers of all overlays. */
const tmpfs = '/run/var';

/**
 * Measures the tmpfs and the largest files of each layer. What is on SCRATCH_DEVICE is in neither.
 * @returns undefined if there is no layer, as in a boot whose /var could not be assembled
 */
export function takeSample(reader: SystemReader, config: Pick<Config, 'SCRATCH'>): Sample | undefined {
  return unlessSystemError(() => {
    const mounts = readMountTable(reader);
    if (mounts.serving(tmpfs)?.target !== tmpfs) return undefined;
    const layers = layersOf(readBootEnv(reader));
    const isMount = (folder: string) => mounts.at(folder).length > 0;
    const overlays = layers.filter(({ target }) => mounts.serving(target)?.type === 'overlay');
    const largest = [...overlays, ...scratchInMemory(config, mounts)].flatMap(
      ({ target, upper }) =>
        unlessSystemError(() => findLargestFiles(reader, [{ target, upper }], isMount)) ?? [],
    );
    return { at: reader.environment().seconds, usage: reader.usage(tmpfs), largest };
  });
}

/** A shorter measurement contains mostly what services write once when they start. */
const shortest = 30;
/** From this length on, the rate includes the timers that run every few minutes. */
const long = 600;
/** How many times the length of the measurement is predicted. */
const factor = { short: 10, long: 1000 };

/** journald limits the size of its own files, by default to a tenth of the file system (journald.conf(5)). */
const journal = '/var/log/journal';
const shown = 5;
const leastShown = 64 * 1024;

/** Compares two samples. @returns null unless both are of the same tmpfs and the second is later */
export function measureGrowth(first: Sample | undefined, last: Sample | undefined): Growth | null {
  if (first === undefined || last === undefined || last.at <= first.at) return null;
  const seconds = Math.round(last.at - first.at);
  const bytes = last.usage.usedBytes - first.usage.usedBytes;
  const inodes = last.usage.inodesUsed - first.usage.inodesUsed;
  const largest = growthOf(first.largest, last.largest);
  const ofJournal = largest.find(({ path }) => path === journal)?.bytes ?? 0;
  return {
    ...{ seconds, bytes, inodes },
    usedBytes: last.usage.usedBytes,
    sizeBytes: last.usage.sizeBytes,
    largest: largest.filter((each) => each.bytes >= leastShown || each.inodes >= 100).slice(0, shown),
    forecast: soonest(
      predict(seconds, bytes - Math.max(0, ofJournal), last.usage.sizeBytes - last.usage.usedBytes),
      predict(seconds, inodes, last.usage.inodes - last.usage.inodesUsed),
    ),
  };
}

/** Returns the growth of each entry of the second list. An entry that is not in the first list was small then. */
function growthOf(before: readonly LargestFile[], after: readonly LargestFile[]): LargestFile[] {
  const known = new Map(before.map((each) => [each.path, each]));
  return after
    .map(({ path, bytes, inodes }) => {
      const { bytes: then = 0, inodes: inodesThen = 0 } = known.get(path) ?? {};
      return { path, bytes: bytes - then, inodes: inodes - inodesThen };
    })
    .toSorted((a, b) => b.bytes - a.bytes);
}

function predict(seconds: number, growth: number, free: number): Forecast {
  if (seconds < shortest) return { full: 'unknown' };
  const horizon = seconds * (seconds >= long ? factor.long : factor.short);
  const left = growth <= 0 ? Infinity : Math.round((Math.max(0, free) / growth) * seconds);
  return left <= horizon ? { full: 'in', seconds: left } : { full: 'not within', seconds: horizon };
}

function soonest(bytes: Forecast, inodes: Forecast): Forecast {
  const full = [bytes, inodes].filter((each) => each.full === 'in');
  return full.toSorted((one, other) => one.seconds - other.seconds)[0] ?? bytes;
}
