import { starts } from './starts.ts';
import type { Start, Variant } from './starts.ts';
import { bootFilesWith } from './rivals.ts';
import type { Result } from './run.ts';
import { median } from './table.ts';
import type { Figure } from './table.ts';
import { ext4OnPartition, makeWritable } from '../vm/harness/scenario.ts';

/**
 * A guest's start with the agent, and with what does a part of its job, against the same guest on the same read-only
 * disk with no overlay at all. overlayroot is not among them: it takes another initramfs than dracut's.
 */
export async function boot(): Promise<Result> {
  const none: Variant = { name: 'no overlay', disk: 'readonly', layout: ext4OnPartition };
  const overlay = 'drivers+=" overlay "';
  const dracut = await bootFilesWith(`add_dracutmodules+=" overlayfs "\n${overlay}`);
  const volatile = await bootFilesWith(overlay);
  const others: Variant[] = [
    { ...none, name: 'agent', agent: true },
    { ...none, name: 'volatile=state', words: ['systemd.volatile=state'] },
    {
      ...{ ...none, name: 'volatile=overlay', words: ['systemd.volatile=overlay'] },
      ...{ bootFiles: volatile, root: 'overlay' },
    },
    {
      ...{ ...none, name: 'dracut overlayfs', words: ['rd.live.overlay.overlayfs=1'] },
      ...{ bootFiles: dracut, root: 'overlay' },
    },
  ];
  const figures = await compare(none, others);
  // XFS in LVM does not boot on a read-only disk without the agent.
  const writable: Variant = { name: 'LVM, writable', disk: 'writable', edit: makeWritable };
  const lvm = await compare(writable, [{ name: 'LVM, agent', disk: 'readonly', agent: true }]);
  return {
    about:
      'virtual seconds of ext4 on a partition, read-only, against no overlay at all; then of XFS in LVM against the' +
      '\nsame on a writable disk. Without a writable /var, units fail and start again: more processes, and later.',
    control: 'control',
    figures: [...figures, ...lvm],
  };
}

const metrics: { of: keyof Start; name: string; unit: Figure['unit']; atMost?: number }[] = [
  { of: 'initramfs', name: 'initramfs', unit: 'KiB' },
  { of: 'switchRoot', name: 'to the switch of roots', unit: 's' },
  { of: 'localFs', name: 'to local-fs.target', unit: 's', atMost: 0.1 },
  { of: 'localFsForks', name: 'processes by then', unit: '', atMost: 20 },
  { of: 'sysinit', name: 'to sysinit.target', unit: 's', atMost: 0.1 },
  { of: 'multiUser', name: 'to multi-user.target', unit: 's', atMost: 0.1 },
  { of: 'multiUserForks', name: 'processes by then', unit: '', atMost: 20 },
  { of: 'failedUnits', name: 'failed units', unit: '' },
];

/** One figure for each metric of each guest; what is aimed at counts for the agent. */
async function compare(control: Variant, others: Variant[]): Promise<Figure[]> {
  const base = await starts(control);
  const measured: { variant: Variant; all: Start[] }[] = [];
  for (const variant of others) measured.push({ variant, all: await starts(variant) });
  return metrics.flatMap(({ of, name, unit, atMost }) =>
    measured.map(({ variant, all }) => ({
      ...{ name: `${name}, ${variant.name}`, unit, value: middle(all, of), control: middle(base, of) },
      ...(variant.agent && atMost !== undefined ? { aim: { of: 'difference' as const, atMost } } : {}),
    })),
  );
}

function middle(all: Start[], of: keyof Start): number {
  return median(all.map((start) => start[of]));
}
