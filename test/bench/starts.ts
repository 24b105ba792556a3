import { mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BootFiles } from '../vm/harness/kernel.ts';
import { agentTree } from '../vm/harness/agent.ts';
import { withDataDisk } from '../vm/harness/data-disk.ts';
import { withEmptyDisk } from '../vm/harness/empty-disk.ts';
import { withGuest } from '../vm/harness/guest.ts';
import type { Drive } from '../vm/harness/qemu.ts';
import { xfsOnLvm } from '../vm/harness/scenario.ts';
import type { Boot, Guest, Layout } from '../vm/harness/scenario.ts';
import { markDisk, uuid } from '../vm/harness/scratch.ts';
import { templateOf } from '../vm/harness/template.ts';
import { ordinaryTree } from '../vm/harness/ordinary-tree.ts';
import type { Figure } from './table.ts';

/**
 * The number of boots of each guest. The guest's clock counts instructions, so on an idle machine the boots differ only
 * by hundredths of a second.
 */
const boots = Number(process.env['BENCH_BOOTS'] ?? 3);

export interface Variant {
  name: string;
  disk: 'readonly' | 'writable';
  agent?: boolean;
  layout?: Layout;
  edit?: (root: string) => Promise<void>;
  /**
   * The directories on a data disk; undefined if there is no data disk. A first boot, which is not measured, fills the
   * directories of PERSIST.
   */
  dataDisk?: readonly string[];
  /** Whether the guest has an empty disk that is marked for SCRATCH. */
  scratchDisk?: boolean;
  /** A line of sh that succeeds only if what is measured was active. */
  proof?: string;
  /** A line of sh that prints a further time in microseconds, which is `Start.extra`. */
  extra?: string;
  /** See `Machine.ports` and `Machine.uuid`. */
  ports?: Record<string, string>;
  uuid?: string;
  /** Kernel arguments. */
  words?: string[];
  bootFiles?: BootFiles;
  /** The tree, if it is not the ordinary tree. */
  tree?: string;
  /** The expected type of the file system at /, to verify that the measured software was active; undefined for any. */
  root?: string;
}

/** Times in seconds since the start of the kernel, and the numbers of processes and threads started until then. */
export interface Start {
  /** The uncompressed size in KiB. */
  initramfs: number;
  switchRoot: number;
  localFs: number;
  localFsForks: number;
  sysinit: number;
  multiUser: number;
  multiUserForks: number;
  failedUnits: number;
  extra: number;
}

/** Boots a new guest for each measurement, because a second boot of a guest would find the files of the first boot. */
export async function starts(variant: Variant): Promise<Start[]> {
  const tree = variant.tree ?? (await (variant.agent ? agentTree() : ordinaryTree()));
  const template = await templateOf(variant.layout ?? xfsOnLvm, tree);
  const all: Start[] = [];
  const edit = async (root: string): Promise<void> => {
    await addCounters(root);
    await variant.edit?.(root);
  };
  for (let count = 0; count < boots; count++) {
    await withGuest({ template, edit }, async (guest) => {
      const one = await startWithDisk(guest, variant);
      // Show the progress, because all boots together take half an hour.
      process.stderr.write(`${variant.name}: ${JSON.stringify(one)}\n`);
      all.push(one);
    });
  }
  return all;
}

/** Measures a start with the further disk of the variant, which is removed afterwards. */
async function startWithDisk(guest: Guest, variant: Variant): Promise<Start> {
  if (variant.dataDisk !== undefined) {
    return withDataDisk(async (drive) => {
      await guest.boot({ disk: variant.disk, drives: [drive], limitSeconds: 900 });
      return start(guest, variant, [drive]);
    }, variant.dataDisk);
  }
  if (variant.scratchDisk === true) {
    return withEmptyDisk(1024, async (drive) => {
      await markDisk(drive);
      return start(guest, variant, [drive]);
    });
  }
  return start(guest, variant);
}

async function start(
  guest: Guest,
  { disk, bootFiles = guest.bootFiles, ...variant }: Variant,
  drives: Drive[] = [],
): Promise<Start> {
  const boot = await guest.boot({
    ...{
      disk,
      allUnits: true,
      drives,
      bootFiles,
      steps: { ...steps, proof: variant.proof ?? 'true', extra: variant.extra ?? 'echo 0' },
      time: 'counted',
      limitSeconds: 900,
      ports: variant.ports,
      uuid: variant.scratchDisk === true ? uuid : variant.uuid,
    },
    arguments: variant.words ?? [],
  });
  if (boot.step('proof').exit !== 0) throw new Error(`${variant.name}: ${boot.step('proof').stderr}`);
  const type = boot.step('root').stdout.trim();
  if (variant.root !== undefined && type !== variant.root) throw new Error(`${variant.name}: / is ${type}`);
  const { size } = await stat(bootFiles.initramfs);
  return startOf(boot, size / 1024);
}

/**
 * Returns a figure of boots: the least value, because other load on this machine can only increase a value. The guest's
 * clock continues while the guest waits for its disk.
 * @param atMost the aim for the difference
 */
export function leastFigure(
  name: string,
  unit: Figure['unit'],
  of: keyof Start,
  measured: readonly Start[],
  control: readonly Start[],
  atMost?: number,
): Figure {
  const least = (all: readonly Start[]) => Math.min(...all.map((start) => start[of]));
  const spread = Math.max(...measured.map((start) => start[of])) - least(measured);
  const aim = atMost === undefined ? {} : { aim: { of: 'difference' as const, atMost } };
  return { name, unit, value: least(measured), control: least(control), spread, ...aim };
}

const afterTarget = {
  'local-fs': 'systemd-tmpfiles-setup.service',
  'multi-user': 'vmtest.service immutafs-check.service',
};

/**
 * Adds units that copy /proc/stat when a target is reached, before units that are ordered after the target are started.
 * The units start the same processes in every guest.
 */
async function addCounters(root: string): Promise<void> {
  const units = join(root, 'etc/systemd/system');
  for (const [target, next] of Object.entries(afterTarget)) {
    const name = `bench-${target}.service`;
    const unit = [
      ...['[Unit]', 'DefaultDependencies=no', `After=${target}.target`],
      `Before=${next}`,
      ...['[Service]', 'Type=oneshot', `ExecStart=/bin/cp /proc/stat /run/bench-${target}`, ''],
    ];
    await writeFile(join(units, name), unit.join('\n'));
    await mkdir(join(units, `${target}.target.wants`), { recursive: true });
    await symlink(`../${name}`, join(units, `${target}.target.wants/${name}`));
  }
}

const when = 'systemctl show --value -p';
const reached = (target: string): string => `${when} ActiveEnterTimestampMonotonic ${target}.target`;
const forks = (target: string): string => `sed -n 's/^processes //p' /run/bench-${target}`;

const steps = {
  ...{ localFsForks: forks('local-fs'), multiUserForks: forks('multi-user') },
  switchRoot: `${when} UserspaceTimestampMonotonic`,
  ...{ localFs: reached('local-fs'), sysinit: reached('sysinit'), multiUser: reached('multi-user') },
  failed: 'systemctl list-units --failed --plain --no-legend',
  root: 'awk \'$5 == "/" { sub(/.* - /, ""); print $1 }\' /proc/self/mountinfo',
};

/** systemd's UserspaceTimestamp is the start of PID 1 after the switch of the root (org.freedesktop.systemd1(5)). */
function startOf(boot: Boot, initramfs: number): Start {
  const seconds = (step: string): number => Number(boot.step(step).stdout) / 1e6;
  const count = (step: string): number => Number(boot.step(step).stdout);
  const failed = boot.step('failed').stdout;
  const start = {
    initramfs,
    ...{ switchRoot: seconds('switchRoot'), localFs: seconds('localFs'), sysinit: seconds('sysinit') },
    ...{ multiUser: seconds('multiUser'), multiUserForks: count('multiUserForks') },
    localFsForks: count('localFsForks'),
  };
  if (!Object.values(start).every((value) => value > 0)) throw new Error(JSON.stringify(start));
  return {
    ...start,
    failedUnits: failed === '' ? 0 : failed.trimEnd().split('\n').length,
    extra: seconds('extra'),
  };
}
