import { appendLines } from '../engine/fstab.ts';
import { type Planned, stepOf } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { namesIfThere } from '../../system/names.ts';
import { planOptions } from './existing-home.ts';
import { requiredForHome } from './migration.ts';

/** The label of the file system for /home, which the host creates on a data disk: `mkfs.xfs -L home`. */
const label = 'home';
/** A guest without such a disk starts as well, after a bounded wait (systemd.mount(5)). A slow host needs most of it. */
const optional = ['nofail', 'x-systemd.device-timeout=90s'];

/**
 * Plans the step `home` of an image: a line of fstab mounts /home from a data disk, by label, because the image knows
 * neither the device nor the UUID of a guest's disk.
 */
export function planImageHome(look: Snapshot): Planned {
  const { reader, config, fstab } = look;
  const kind = reader.stat('/home')?.kind;
  if (kind === undefined) return stepOf('done', ['There is no /home.']);
  if (kind !== 'directory')
    return stepOf('by hand', [
      '/home is not a directory: replace it by a directory, on which a file system can be mounted.',
    ]);
  const lines = fstab.lines.filter(({ target }) => target === '/home');
  const own = lines.find(({ disks }) => look.systemDisks.includes(disks));
  if (own !== undefined)
    return stepOf('by hand', [
      `Line ${own.line} of /etc/fstab mounts /home from ${own.source}, on the disk of the image, which the host makes read-only: remove the line and the file system, or name a data disk (LABEL=${label}).`,
    ]);
  if (lines.length > 0) {
    const { why = [], actions = [] } = planOptions(look, undefined);
    if (actions.length > 0) return stepOf('needed', why, actions);
    return stepOf('done', [`/etc/fstab mounts /home from ${lines[0]?.source}.`]);
  }
  const options = ['rw', ...requiredForHome(config), ...optional].join(',');
  const hidden = namesIfThere(reader, '/home').slice(0, 5).join(', ');
  const content = hidden === '' ? '' : ` The new file system hides what the image has in /home: ${hidden}.`;
  const why = `/home is on the disk of the image, which the host makes read-only: a file system with the label ${label} on a data disk of each guest will be mounted there (mkfs.xfs -L ${label}).${content}`;
  const after = appendLines(fstab.text ?? '', [`LABEL=${label} /home xfs ${options} 0 0`]);
  return stepOf('needed', [why], [{ do: 'edit', file: '/etc/fstab', before: fstab.text, after }]);
}
