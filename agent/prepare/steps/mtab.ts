import { type Planned, stepOf } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { isMountTable } from '../../facts/mounts/mountinfo.ts';

const file = '/etc/mtab';

/**
 * Plans the step `mtab`: /etc/mtab is a link to the kernel's mount table, because a file on a read-only disk becomes
 * stale.
 */
export function planMtab({ reader }: Snapshot): Planned {
  const kind = reader.stat(file)?.kind;
  const link = kind === 'link' ? reader.link(file) : undefined;
  if (link !== undefined && isMountTable(link)) return stepOf('done', [`${file} is a link to ${link}.`]);
  if (kind !== undefined && kind !== 'link' && kind !== 'file')
    return stepOf('blocked', [`${file} is neither a file nor a link.`]);
  const found =
    kind === undefined ? 'does not exist' : link === undefined ? 'is a file' : `is a link to ${link}`;
  const why = `${file} ${found}; on a read-only disk it must be a link to the kernel's mount table.`;
  return stepOf('needed', [why], [{ do: 'link', file, to: '../proc/self/mounts' }]);
}
