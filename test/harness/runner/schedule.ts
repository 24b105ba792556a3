import fs from 'node:fs';
import path from 'node:path';
import { lintFile } from './selection.ts';

/** The number of files that run at a time. */
export const lanes = 4;

/**
 * The number of files that run at a time and keep a processor busy. The third one uses the processors while a guest
 * waits or idles.
 */
const busyAtOnce = 3;

/** Files that wait for most of their duration. They run in a lane that is left when no busy file may start. */
const mostlyWaiting: ReadonlySet<string> = new Set([
  'test/system/ansible-guest',
  'test/system/changes',
  'test/system/foreign-programs',
  'test/system/foreign-programs-layers',
  'test/system/foreign-programs-memory',
  'test/system/hanging',
  'test/system/prepare-writes',
  'test/unit/prepare/rehearsal/recorder',
]);

/** The number of guest files that run at a time while other files wait, because a guest keeps a processor busy. */
const guestsAtOnce = 2;

/** Builds the files that the guest tests share. The guest tests start when this file has ended. */
export const warmFile = 'test/vm/warm.ts';

/**
 * The duration of files in seconds, measured alone on two processors. Only the order depends on the durations: the
 * longest file starts first, and a file that is missing here has the duration `usual`.
 */
const seconds: Readonly<Record<string, number>> = {
  'test/vm/long/update': 800,
  'test/vm/long/rollback': 900,
  'test/vm/long/multipath': 190,
  'test/vm/long/earlier-systemd': 180,
  'test/vm/long/selinux-enforcing': 350,
  'test/vm/long/two-kernels': 400,
  'test/vm/long/identity-layouts': 240,
  'test/vm/matrix/identity': 200,
  'test/vm/matrix/receipt': 300,
  'test/vm/long/receipt': 300,
  'test/vm/long/audit-full': 90,
  'test/vm/long/lvm-snapshot': 160,
  'test/vm/long/write-protected-copy': 240,
  'test/vm/long/persist-power-cut': 400,
  'test/vm/matrix/rehearse': 300,
  'test/vm/matrix/faults': 240,
  'test/vm/long/identity-stacks': 560,
  'test/vm/long/rehearse': 150,
  'test/vm/long/persist': 140,
  'test/vm/long/next-boot': 280,
  'test/vm/long/prepare-power-cut': 270,
  'test/vm/matrix/persist': 150,
  'test/vm/long/recycle': 300,
  'test/vm/matrix/layouts': 360,
  'test/vm/matrix/verify': 90,
  'test/vm/matrix/sealed-runtime': 250,
  'test/vm/matrix/prepare': 210,
  'test/vm/matrix/live-changes': 160,
  'test/vm/long/package': 200,
  'test/vm/smoke/package': 190,
  'test/vm/long/power-cut': 170,
  'test/vm/smoke/maintenance': 170,
  'test/packaging/release/release': 160,
  'test/vm/matrix/audit': 95,
  'test/vm/smoke/faults': 140,
  'test/vm/smoke/selinux': 130,
  'test/vm/smoke/sealed': 120,
  'test/vm/smoke/prepare': 110,
  'test/vm/long/efi': 250,
  'test/vm/matrix/domains': 100,
  'test/vm/matrix/host-snapshot': 120,
  'test/vm/matrix/host-boot': 100,
  'test/vm/matrix/overlay-maintenance': 130,
  'test/vm/matrix/strict-soft-reboot': 110,
  'test/vm/matrix/changes': 80,
  'test/vm/matrix/enforcement': 100,
  'test/vm/matrix/forward': 65,
  'test/vm/matrix/forward-state': 70,
  'test/vm/matrix/fleet': 60,
  'test/browser/fleet-page': 40,
  'test/wire/hang': 90,
  'test/system/prepare-home': 90,
  'test/system/prepare-home-interrupted': 70,
  'test/wire/trouble': 70,
  'test/lint': 50,
  'test/wire/crash': 60,
  'test/system/forwarder-files': 55,
  'test/system/prepare-home-reach': 55,
  'test/wire/log-files': 50,
  'test/system/prometheus-file': 45,
  'test/wire/journal': 45,
  'test/wire/tls': 40,
  'test/system/hanging': 55,
  'test/system/foreign-programs': 50,
  'test/system/foreign-programs-memory': 25,
  'test/system/changes': 45,
  'test/system/prepare-writes': 35,
  'test/system/prepare-home-devices': 40,
  'test/wire/across-reboots': 30,
  'test/monitoring/outage': 27,
  'test/packaging/scriptlets': 25,
  'test/system/probes': 22,
  'test/shell/assemble-var': 22,
  'test/shell/identity': 20,
  'test/system/ansible-guest': 30,
  'test/harness/runner/run': 20,
  'test/monitoring/alerts': 15,
  'test/monitoring/dashboard': 12,
};

/**
 * The duration of a file that is not listed. Packaging tests come last, because they wait until the package has been
 * built.
 */
const usual = (file: string): number => {
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

/**
 * Distributes files to the lanes, the longest file first. Files that boot guests start only when the shared trees are
 * built. When no other file is left, three guests run, because a guest needs no processor while its disks are made and
 * while it idles. A lane that finds no file to start waits until a running file ends.
 */
export class Schedule {
  readonly #waiting: Job[];
  #guests = 0;
  #busy = 0;
  #warming: boolean;

  constructor(root: string, files: readonly string[]) {
    const byTime = files.toSorted((a, b) => timeOf(b) - timeOf(a));
    this.#waiting = byTime.map(jobOf);
    this.#warming = this.#waiting.some(({ guest }) => guest) && fs.existsSync(path.join(root, warmFile));
    if (this.#warming) this.#waiting.unshift(jobOf(warmFile));
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** @returns the next file that may start now, or undefined */
  take(): Job | undefined {
    const busy = this.#waiting.findIndex((job) => !job.waits && this.#mayStart(job));
    const index = busy >= 0 ? busy : this.#waiting.findIndex(({ waits }) => waits);
    const [job] = index < 0 ? [] : this.#waiting.splice(index, 1);
    if (job?.guest === true) this.#guests += 1;
    if (job?.waits === false) this.#busy += 1;
    return job;
  }

  done({ file, guest, waits }: Job): void {
    if (guest) this.#guests -= 1;
    if (!waits) this.#busy -= 1;
    if (file === warmFile) this.#warming = false;
  }

  #mayStart({ file, guest }: Job): boolean {
    if (this.#busy === busyAtOnce) return false;
    if (!guest || file === warmFile) return true;
    const othersWait = this.#waiting.some((job) => !job.guest);
    return !this.#warming && this.#guests < (othersWait ? guestsAtOnce : busyAtOnce);
  }
}

function timeOf(file: string): number {
  return seconds[nameOf(file)] ?? usual(file);
}

/** @returns the path without the extension */
function nameOf(file: string): string {
  return file.replace(/(\.test)?\.ts$/, '');
}

function jobOf(file: string): Job {
  const limits: [string, number][] = [
    [warmFile, 1200],
    ['test/vm/smoke/', 1200],
    ['test/vm/', 1800],
    ['test/packaging/release/release.test.ts', 900],
    [lintFile, 600],
  ];
  const [, limitSeconds] = limits.find(([prefix]) => file.startsWith(prefix)) ?? ['', 240];
  const waits = mostlyWaiting.has(nameOf(file));
  return { file, limitSeconds, guest: file.startsWith('test/vm/'), waits };
}
