import { overlayrootGuest } from './overlayroot.ts';
import { bootFilesWith } from './rivals.ts';
import type { Result } from './run.ts';
import { leastFigure, starts } from './starts.ts';
import type { Start, Variant } from './starts.ts';
import type { Figure } from './table.ts';
import { ext4OnPartition, makeWritable } from '../vm/harness/scenario.ts';

/**
 * Compares the boot of a guest with the agent, or with other software that provides a part of the agent's functions,
 * with the boot of the same guest on a writable disk without this software.
 */
export async function boot(): Promise<Result> {
  const figures = [...(await onPartition()), ...(await withInitramfsTools()), ...(await onLvm())];
  return {
    about:
      'virtual seconds from the start of the kernel, the least of a few boots; read-only disks against a writable one.' +
      '\nExt4 on a partition. Without an overlay, /var is not writable, and units fail and start again: more processes,' +
      '\nand later. overlayroot has an initramfs by initramfs-tools, and so has what it is measured against.' +
      '\nXFS in LVM. setro is the least to boot from: a udev rule that sets the root read-only, in the initramfs.',
    control: 'writable',
    figures,
  };
}

const none: Variant = { name: 'no overlay', disk: 'readonly', layout: ext4OnPartition };
const writable = { disk: 'writable', edit: makeWritable } as const;

async function onPartition(): Promise<Figure[]> {
  const overlay = 'drivers+=" overlay "';
  const dracut = await bootFilesWith(`add_dracutmodules+=" overlayfs "\n${overlay}`);
  const volatile = await bootFilesWith(overlay);
  return compare({ ...none, ...writable, name: 'writable' }, [
    none,
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
  ]);
}

/**
 * Measures overlayroot with an overlay on the root only, as in the other guests. Since util-linux 2.39, the root
 * remains read-only unless LIBMOUNT_FORCE_MOUNT2 is set.
 */
async function withInitramfsTools(): Promise<Figure[]> {
  const { tree, plain, overlayroot } = await overlayrootGuest();
  const control: Variant = { ...none, name: 'initramfs-tools', tree, bootFiles: plain };
  const words = ['overlayroot=tmpfs:recurse=0', 'systemd.setenv=LIBMOUNT_FORCE_MOUNT2=always'];
  return compare({ ...control, ...writable }, [
    { ...control, name: 'overlayroot', bootFiles: overlayroot, words, root: 'overlay' },
  ]);
}

async function onLvm(): Promise<Figure[]> {
  const setro =
    'SUBSYSTEM=="block", KERNEL=="dm-*", ACTION=="change", ATTR{ro}=="0", RUN+="/usr/sbin/blockdev --setro /dev/%k"\n';
  const bootFiles = await bootFilesWith('install_items+=" /usr/sbin/blockdev "\n', {
    'usr/lib/udev/rules.d/66-setro.rules': setro,
  });
  return compare({ name: 'LVM, writable', ...writable }, [
    { name: 'LVM, setro', disk: 'readonly', bootFiles },
    { name: 'LVM, agent', disk: 'readonly', agent: true },
  ]);
}

const metrics: { of: keyof Start; name: string; unit: Figure['unit']; atMost?: number }[] = [
  { of: 'initramfs', name: 'initramfs', unit: 'KiB' },
  { of: 'switchRoot', name: 'to the switch of roots', unit: 's' },
  { of: 'localFs', name: 'to local-fs.target', unit: 's', atMost: 0.2 },
  { of: 'localFsForks', name: 'processes by then', unit: '', atMost: 25 },
  { of: 'sysinit', name: 'to sysinit.target', unit: 's', atMost: 0.2 },
  { of: 'multiUser', name: 'to multi-user.target', unit: 's', atMost: 0.2 },
  { of: 'multiUserForks', name: 'processes by then', unit: '', atMost: 25 },
  { of: 'failedUnits', name: 'failed units', unit: '' },
];

/** Returns one figure for each metric of each guest. Only the agent has targets. */
async function compare(control: Variant, others: Variant[]): Promise<Figure[]> {
  const base = await starts(control);
  const measured: { variant: Variant; all: Start[] }[] = [];
  for (const variant of others) measured.push({ variant, all: await starts(variant) });
  return metrics.flatMap(({ of, name, unit, atMost }) =>
    measured.map(({ variant, all }) =>
      leastFigure(`${name}, ${variant.name}`, unit, of, all, base, variant.agent ? atMost : undefined),
    ),
  );
}
