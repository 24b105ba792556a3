import { readFile } from 'node:fs/promises';
import { inRoot } from '../../packaging/build/paths.ts';
import { withInitramfs } from '../vm/harness/initramfs.ts';
import type { Result } from './run.ts';
import { leastFigure, starts } from './starts.ts';
import type { Start, Variant } from './starts.ts';

/**
 * Compares the sealed boot of a guest in which no disk has a copy with the same boot without the part of the initramfs
 * that rejects copies: the links below /dev/block/immutafs, which the check of the root needs, and the rule for members.
 */
export async function identity(): Promise<Result> {
  const rules = '66-immutafs-readonly.rules';
  const [readonly = ''] = (await readFile(inRoot(`dracut/${rules}`), 'utf8')).split(
    '\n# With immutafs=off on the kernel command line',
  );
  const without = {
    'usr/lib/udev/rules.d/63-immutafs-members.rules': '\n',
    [`usr/lib/udev/rules.d/${rules}`]: `${readonly}\nLABEL="immutafs_end"\n`,
  };
  const agent: Variant = { name: 'agent', disk: 'readonly', agent: true };
  const measured = await starts(agent);
  const control = await withInitramfs(without, (bootFiles) =>
    starts({ ...agent, name: 'agent without the comparison', bootFiles }),
  );
  return {
    about: 'virtual seconds from the start of the kernel and processes until then, the least of a few boots.',
    control: 'without it',
    figures: metrics.map(({ of, name, unit, atMost }) =>
      leastFigure(name, unit, of, measured, control, atMost),
    ),
  };
}

const metrics: { of: keyof Start; name: string; unit: 's' | ''; atMost: number }[] = [
  { of: 'switchRoot', name: 'to the switch of roots', unit: 's', atMost: 0.02 },
  { of: 'localFs', name: 'to local-fs.target', unit: 's', atMost: 0.02 },
  { of: 'localFsForks', name: 'processes by then', unit: '', atMost: 0 },
];
