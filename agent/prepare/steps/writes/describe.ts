import { shortList, minute } from '../../../lib/format.ts';
import type { WriteGroup } from '../../engine/step.ts';

/** Describes a group in a few sentences: what changed, who writes, what to do. */
export function describeGroup(group: WriteGroup): string {
  const { advice, openBy } = group;
  const facts = [
    ...factsOf(group),
    ...(openBy.length === 0 ? [] : [`open for writing by ${openBy.join(', ')}`]),
  ];
  return `${nameOf(group)}: ${facts.join('; ')}. ${advice === '' ? unknownAdvice(group) : advice}`;
}

/** Describes a group of unknown origin that does not prevent sealing. */
export function describeUnexplained(group: WriteGroup): string {
  return `${nameOf(group)}: ${factsOf(group).join('; ')}.`;
}

function nameOf({ writer, directory }: WriteGroup): string {
  return writer ?? directory ?? 'accepted';
}

function factsOf(group: WriteGroup): string[] {
  const { packages } = group;
  return [changed(group), ...(packages.length === 0 ? [] : [`package ${packages.join(', ')}`])];
}

function changed({ count, paths, newest }: WriteGroup): string {
  const [first = ''] = paths;
  const paths_ = `${count} ${count === 1 ? 'path' : 'paths'}`;
  if (newest === null) return `${paths_} (${first})`;
  return `${paths_} changed, the last one at ${minute(newest)} (${first})`;
}

/** Returns what to do about an unknown writer that will fail in a sealed boot. */
function unknownAdvice({ directory }: WriteGroup): string {
  if (directory === '/home' || directory?.startsWith('/home/') === true)
    return 'This will fail in a sealed boot: move /home to a disk of its own (step home), or accept the changes.';
  const orOverlay = directory?.startsWith('/etc/') === true ? ', put the directory in OVERLAY' : '';
  return `This will fail in a sealed boot: configure the program to write below /var${orOverlay}, or accept the changes.`;
}

/** Summarises groups that need nothing: "hwclock (1), boot-loader (3)". */
export function summarise(groups: readonly WriteGroup[]): string {
  return shortList(
    groups.map(({ writer, count }) => `${writer ?? 'accepted'} (${count})`),
    ', ',
    12,
  );
}
