import type { Snapshot } from '../engine/snapshot.ts';
import type { Step } from '../engine/step.ts';
import { isMountTable } from '../../facts/mounts/mountinfo.ts';

const file = '/etc/mtab';
const to = '../proc/self/mounts';

/**
 * Plans the step `mtab`: /etc/mtab is a link to the kernel's mount table, because a file on a read-only disk becomes
 * stale.
 */
export function planMtab({ reader }: Snapshot): Step {
  const kind = reader.stat(file)?.kind;
  const link = kind === 'link' ? reader.link(file) : undefined;
  if (link !== undefined && isMountTable(link)) {
    return { id: 'mtab', state: 'done', why: [`${file} is a link to ${link}.`], actions: [] };
  }
  if (kind !== undefined && kind !== 'link' && kind !== 'file') {
    return { id: 'mtab', state: 'blocked', why: [`${file} is neither a file nor a link.`], actions: [] };
  }
  const found =
    kind === undefined ? 'does not exist' : link === undefined ? 'is a file' : `is a link to ${link}`;
  const why = `${file} ${found}; on a read-only disk it must be a link to the kernel's mount table.`;
  return { id: 'mtab', state: 'needed', why: [why], actions: [{ do: 'link', file, to }] };
}
