import { join } from 'node:path';
import { editFile, withAgent, withoutAgent } from '../vm/harness/scenario.ts';
import type { Boot, Guest } from '../vm/harness/scenario.ts';
import type { Result } from './run.ts';
import { median } from './table.ts';

/** Boots of each guest; the guest's clock counts instructions, so they differ by a few hundredths of a second. */
const boots = 2;

interface Start {
  /** Seconds from the kernel's start. */
  switchRoot: number;
  multiUser: number;
  /** What the kernel counted as forks, which are threads, too. */
  forks: number;
  failedUnits: number;
}

type Kind = typeof withAgent | typeof withoutAgent;

/** The guest's start, sealed by the agent, against the same guest without the agent on a writable disk. */
export async function boot(): Promise<Result> {
  const sealed = await starts(withAgent, {}, 'readonly');
  // XFS in LVM does not boot on a read-only disk without the agent.
  const control = await starts(withoutAgent, { edit: makeWritable }, 'writable');
  const both = (of: keyof Start) => ({ value: middle(sealed, of), control: middle(control, of) });
  const seconds = { unit: 's', aim: { of: 'difference', atMost: 0.1 } } as const;
  const count = { unit: '', aim: { of: 'difference', atMost: 20 } } as const;
  return {
    about:
      `virtual seconds of XFS on LVM, medians of ${boots} boots.\nThe control is the same guest on a writable` +
      ' disk and without the agent: read-only it does not boot without it.',
    control: 'writable disk',
    figures: [
      { name: 'to the switch of roots', ...both('switchRoot'), ...seconds },
      { name: 'to multi-user.target', ...both('multiUser'), ...seconds },
      { name: 'processes and threads started', ...both('forks'), ...count },
      { name: 'failed units', ...both('failedUnits'), unit: '' },
    ],
  };
}

/** Each boot has a guest of its own: a second boot of one would find what the first one wrote. */
async function starts(
  kind: Kind,
  options: Parameters<typeof withoutAgent>[0],
  disk: 'readonly' | 'writable',
): Promise<Start[]> {
  const all: Start[] = [];
  for (let count = 0; count < boots; count++) {
    await kind(options, async (guest: Guest) => {
      all.push(startOf(await guest.boot({ disk, time: 'counted', steps, limitSeconds: 600 })));
    });
  }
  return all;
}

/** What is counted is asked first. */
const steps = {
  forks: "sed -n 's/^processes //p' /proc/stat",
  userspace: 'systemctl show --value -p UserspaceTimestampMonotonic',
  target: 'systemctl show --value -p ActiveEnterTimestampMonotonic multi-user.target',
  failed: 'systemctl list-units --failed --plain --no-legend',
};

/** PID 1's start after the switch of roots is systemd's UserspaceTimestamp (org.freedesktop.systemd1(5)). */
function startOf(boot: Boot): Start {
  const micros = (step: string): number => Number(boot.step(step).stdout) / 1e6;
  const failed = boot.step('failed').stdout;
  const start = {
    switchRoot: micros('userspace'),
    multiUser: micros('target'),
    forks: Number(boot.step('forks').stdout),
    failedUnits: failed === '' ? 0 : failed.trimEnd().split('\n').length,
  };
  if (!(start.switchRoot > 0 && start.multiUser > 0 && start.forks > 0))
    throw new Error(JSON.stringify(start));
  return start;
}

/** The prepared fstab has / and /boot `ro`, which without the agent leaves no /var to write to. */
async function makeWritable(root: string): Promise<void> {
  await editFile(join(root, 'etc/fstab'), (text) => text.replaceAll(/ ro /g, ' defaults '));
}

function middle(all: Start[], of: keyof Start): number {
  return median(all.map((start) => start[of]));
}
