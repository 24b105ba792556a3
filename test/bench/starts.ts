import { mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BootFiles } from '../vm/harness/kernel.ts';
import { agentTree } from '../vm/harness/agent.ts';
import { withGuest } from '../vm/harness/guest.ts';
import { xfsOnLvm } from '../vm/harness/scenario.ts';
import type { Boot, Guest, Layout } from '../vm/harness/scenario.ts';
import { templateOf } from '../vm/harness/template.ts';
import { ordinaryTree } from '../vm/harness/tree.ts';

/** Boots of each guest; its clock counts instructions, so they differ by hundredths of a second on an idle machine. */
const boots = Number(process.env['BENCH_BOOTS'] ?? 3);

/** A guest to be measured. */
export interface Variant {
  name: string;
  disk: 'readonly' | 'writable';
  agent?: boolean;
  layout?: Layout;
  edit?: (root: string) => Promise<void>;
  /** Kernel arguments. */
  words?: string[];
  bootFiles?: BootFiles;
  /** Of another tree than the ordinary one. */
  tree?: string;
  /** The type of file system at / that shows that what is measured was there; `-` for any. */
  root?: string;
}

/** Seconds from the kernel's start; processes and threads started until then, as the kernel counts forks. */
export interface Start {
  /** Size in KiB, as it is unpacked. */
  initramfs: number;
  switchRoot: number;
  localFs: number;
  localFsForks: number;
  sysinit: number;
  multiUser: number;
  multiUserForks: number;
  failedUnits: number;
}

/** Each boot has a guest of its own: a second boot of one would find what the first one wrote. */
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
      const one = await start(guest, variant);
      // All of them take half an hour.
      process.stderr.write(`${variant.name}: ${JSON.stringify(one)}\n`);
      all.push(one);
    });
  }
  return all;
}

async function start(
  guest: Guest,
  { disk, bootFiles = guest.bootFiles, ...variant }: Variant,
): Promise<Start> {
  const boot = await guest.boot({
    ...{ disk, bootFiles, steps, time: 'counted', limitSeconds: 900 },
    arguments: variant.words ?? [],
  });
  const type = boot.step('root').stdout.trim();
  if (variant.root !== undefined && type !== variant.root) throw new Error(`${variant.name}: / is ${type}`);
  const { size } = await stat(bootFiles.initramfs);
  return startOf(boot, size / 1024);
}

const afterTarget = {
  'local-fs': 'systemd-tmpfiles-setup.service',
  'multi-user': 'vmtest.service immutafs-check.service',
};

/**
 * Units that keep what /proc/stat said when a target was reached, and before anything that is ordered after it: their
 * own processes are the same for all.
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

/** PID 1's start after the switch of roots is systemd's UserspaceTimestamp (org.freedesktop.systemd1(5)). */
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
  return { ...start, failedUnits: failed === '' ? 0 : failed.trimEnd().split('\n').length };
}
