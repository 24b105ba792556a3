import fs from 'node:fs';
import path from 'node:path';

/** The number of files that run at a time. */
export const lanes = 4;

/**
 * The number of files that run at a time and keep a processor busy. The third one uses the processors while a guest
 * waits or idles.
 */
const busyAtOnce = 3;

/** Files that wait for most of their duration. They run in a lane that is left when no busy file may start. */
const mostlyWaiting: ReadonlySet<string> = new Set([
  'test/system/ansible-guest.test.ts',
  'test/system/changes.test.ts',
  'test/system/foreign-programs.test.ts',
  'test/system/foreign-programs-layers.test.ts',
  'test/system/foreign-programs-memory.test.ts',
  'test/system/hanging.test.ts',
  'test/system/prepare-writes.test.ts',
  'test/unit/prepare/rehearsal/recorder.test.ts',
]);

/** The number of guest files that run at a time while other files wait, because a guest keeps a processor busy. */
const guestsAtOnce = 2;

/** Files with a log server on port 2514 of this machine, as docs/guide.md shows it. They run one after the other. */
const withLogPort: ReadonlySet<string> = new Set([
  'test/vm/long/guide.test.ts',
  'test/vm/long/guide-fleet.test.ts',
]);

/** Builds the files that the guest tests share. The guest tests start when this file has ended. */
export const warmFile = 'test/vm/warm.ts';

/**
 * The duration of files in seconds as an earlier run measured it (`recordDurations`). Only the order depends on it: the
 * longest file starts first.
 */
export const durationsFile = 'test/harness/runner/durations.json';

/** Files without guests that take less than this number of seconds are not in the table. */
const shortest = 30;

/**
 * The duration of a file that is not listed. Packaging tests come last, because they wait until the package has been
 * built.
 */
const usual = (file: string): number => {
  if (file.startsWith('test/vm/long/')) return 300;
  if (file.startsWith('test/vm/')) return 80;
  return file.startsWith('test/packaging/') ? 4 : 5;
};

export interface Job {
  file: string;
  /** Time limit of the file. */
  limitSeconds: number;
  /** Whether the file boots guests, or builds the files from which guests boot. */
  guest: boolean;
  /** Whether the file waits for most of its duration. */
  waits: boolean;
}

function readDurations(root: string): Record<string, number> {
  const file = path.join(root, durationsFile);
  if (!fs.existsSync(file)) return {};
  return JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, number>;
}

/** @returns the duration of a file in seconds, as measured or as usual */
export function durationOf(root: string): (file: string) => number {
  const durations = readDurations(root);
  return (file) => durations[file] ?? usual(file);
}

/**
 * Replaces the durations of the files that ran, and removes those of files that no longer exist.
 *
 * @param measured seconds by file
 */
export function recordDurations(root: string, measured: ReadonlyMap<string, number>): void {
  const all = { ...readDurations(root), ...Object.fromEntries(measured) };
  const kept = Object.entries(all)
    .filter(([file, seconds]) => seconds >= shortest || file.startsWith('test/vm/'))
    .filter(([file]) => fs.existsSync(path.join(root, file)))
    .map(([file, seconds]): [string, number] => [file, Math.round(seconds)])
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  fs.writeFileSync(path.join(root, durationsFile), `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`);
}

/**
 * Distributes files to the lanes, the longest file first. Files that boot guests start only when the shared trees are
 * built. When no other file is left, three guests run, because a guest needs no processor while its disks are made and
 * while it idles. A lane that finds no file to start waits until a running file ends.
 */
export class Schedule {
  readonly #waiting: Job[];
  #guests = 0;
  #busy = 0;
  #logPortTaken = false;
  #warming: boolean;

  constructor(root: string, files: readonly string[]) {
    const timeOf = durationOf(root);
    const byTime = files.toSorted((a, b) => timeOf(b) - timeOf(a));
    this.#waiting = byTime.map(jobOf);
    this.#warming = this.#waiting.some(({ guest }) => guest) && fs.existsSync(path.join(root, warmFile));
    if (this.#warming) this.#waiting.unshift(jobOf(warmFile));
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /**
   * @param more how many busy files and guests may run beyond the usual number
   * @returns the next file that may start now, or undefined
   */
  take(more = 0): Job | undefined {
    const busy = this.#waiting.findIndex((job) => !job.waits && this.#mayStart(job, more));
    const index = busy >= 0 ? busy : this.#waiting.findIndex(({ waits }) => waits);
    const [job] = index < 0 ? [] : this.#waiting.splice(index, 1);
    if (job?.guest === true) this.#guests += 1;
    if (job?.waits === false) this.#busy += 1;
    if (job !== undefined && withLogPort.has(job.file)) this.#logPortTaken = true;
    return job;
  }

  done({ file, guest, waits }: Job): void {
    if (guest) this.#guests -= 1;
    if (!waits) this.#busy -= 1;
    if (withLogPort.has(file)) this.#logPortTaken = false;
    if (file === warmFile) this.#warming = false;
  }

  #mayStart({ file, guest }: Job, more: number): boolean {
    if (this.#busy >= busyAtOnce + more) return false;
    if (this.#logPortTaken && withLogPort.has(file)) return false;
    if (!guest || file === warmFile) return true;
    const othersWait = this.#waiting.some((job) => !job.guest);
    return !this.#warming && this.#guests < (othersWait ? guestsAtOnce : busyAtOnce) + more;
  }
}

function jobOf(file: string): Job {
  // A wire test waits for time limits and pauses; only this one mainly computes.
  const waits = mostlyWaiting.has(file) || /^test\/wire\/(?!content)/.test(file);
  return { file, limitSeconds: timeLimit(file), guest: file.startsWith('test/vm/'), waits };
}

/** @returns the time limit of a file in seconds */
export function timeLimit(file: string): number {
  const limits: [string, number][] = [
    [warmFile, 1200],
    ['test/vm/smoke/', 1200],
    // Up to ten boots, beside other guests, on a machine that may be half as fast.
    ['test/vm/long/', 3000],
    ['test/vm/', 1800],
    ['test/packaging/release/release.test.ts', 900],
    // Builds the policies of RHEL if they are not in the cache.
    ['test/el/module.test.ts', 3000],
  ];
  return limits.find(([prefix]) => file.startsWith(prefix))?.[1] ?? 600;
}
