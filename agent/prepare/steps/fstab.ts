import { findUndeclared } from '../../assess/undeclared-mounts.ts';
import { needsWritable } from '../../checks/fstab.ts';
import { type FstabEntry, inEffect } from '../../facts/mounts/fstab.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { addedOptions } from '../../facts/mounts/targets.ts';
import {
  type Edit,
  addOption,
  appendLines,
  commentedOut,
  editText,
  mergeOptions,
  optionsOf,
  withOptions,
  withoutPass,
} from '../engine/fstab.ts';
import { type Part, type Planned, stepOf, when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';

/**
 * Plans the step `fstab`: lines for file systems on the system disk get `ro` and pass 0, and lines for swap on this
 * disk are commented out. /dev/shm gets a line with the options of MOUNT_OPTIONS. Every other byte stays unchanged.
 */
export function planFstab(look: Snapshot): Planned {
  const { text, lines, problems } = look.fstab;
  const edits = new Map<number, Edit>();
  const why: string[] = [];
  const undeclared = undeclaredData(look);
  for (const entry of lines) {
    const change = changeOf(look, entry);
    if (change === undefined) continue;
    edits.set(entry.line, change.edit);
    why.push(`Line ${entry.line} (${entry.target}): ${change.what}.`);
  }
  const options = shmOptions(look);
  const added = when(
    options.length > 0 && !lines.some(({ target }) => target === shm),
    `tmpfs ${shm} tmpfs defaults,${options.join(',')} 0 0`,
  );
  if (added.length > 0) why.push(`/etc/fstab has no ${shm}: a line with its mount options will be added.`);
  if (edits.size > 0 || added.length > 0) {
    why.push(...undeclared.manual, ...undeclared.notes);
    if (text !== null && look.reader.stat('/etc/fstab')?.kind !== 'file')
      return stepOf('blocked', ['/etc/fstab is not a regular file.', ...why]);
    const edited = editText(text ?? '', edits);
    const after = added.length === 0 ? edited : appendLines(edited, added);
    return stepOf('needed', why, [{ do: 'edit', file: '/etc/fstab', before: text, after }]);
  }
  const manual = [
    ...problems.map(({ line, reason }) => `Line ${line}: ${reason}; correct the line.`),
    ...lines.flatMap(missing),
    ...undeclared.manual,
  ];
  if (manual.length > 0) return stepOf('by hand', [...manual, ...undeclared.notes]);
  return stepOf('done', ['/etc/fstab requires no write to a read-only disk.', ...undeclared.notes]);
}

/**
 * Returns what an administrator must decide about file systems on writable disks, which a sealed guest does not accept
 * unless they are declared as data (check persistent-mounts). Those below /var are only named: if the host makes their
 * disks read-only, too, the boot uses them as lower layers.
 */
function undeclaredData(look: Snapshot): Pick<Part, 'manual' | 'notes'> {
  const found = findUndeclared(look, look.permitted, look.systemDisks)
    .filter(({ mount, isConfigured }) => isConfigured && mount.target !== '/var')
    .map(({ mount, reason, remedy }) => ({
      isLayer: isBelow(mount.target, '/var'),
      text: `${mount.target}, ${mount.type} (${mount.source}): ${reason}. While this file system is writable, the guest does not count as sealed. ${remedy}`,
    }));
  return {
    manual: found.filter(({ isLayer }) => !isLayer).map(({ text }) => text),
    notes: found.filter(({ isLayer }) => isLayer).map(({ text }) => text),
  };
}

interface Change {
  what: string;
  edit: Edit;
}

function changeOf(look: Snapshot, entry: FstabEntry): Change | undefined {
  if (entry.type === 'swap') return swapChange(look, entry);
  const { target } = entry;
  if (!target.startsWith('/')) return undefined;
  if (target === shm) return shmChange(look, entry);
  // Bind mounts and network file systems have no disks in `entry.disks`.
  if (!look.systemDisks.includes(entry.disks)) return undefined;
  // The step `home` moves /home to another disk.
  if (isBelow(target, '/home') && !look.homeIsSkipped) return undefined;
  return mountChange(entry);
}

const shm = '/dev/shm';

/** Returns the options that MOUNT_OPTIONS sets on /dev/shm in a sealed boot. */
function shmOptions({ config }: Snapshot): readonly string[] {
  return addedOptions(config).find(({ target }) => target === shm)?.list ?? [];
}

/**
 * systemd mounts /dev/shm itself, and systemd-remount-fs(8) then sets the options of the line in fstab, instead of those
 * that the initramfs has set. Scanners demand that the line has the options, too.
 */
function shmChange(look: Snapshot, { options }: FstabEntry): Change | undefined {
  const lacking = shmOptions(look).filter((option) => !inEffect(options, option, option.replace(/^no/, '')));
  if (lacking.length === 0) return undefined;
  return {
    what: `${optionsWill(lacking, 'added')}, as in MOUNT_OPTIONS`,
    edit: (line) => withOptions(line, mergeOptions(optionsOf(line), lacking)),
  };
}

function mountChange({ target, options, pass }: FstabEntry): Change | undefined {
  const useless = options.filter((option) => needsWritable.test(option));
  // The boot itself mounts /var and the file systems below it read-only, as lower layers.
  const isWritable = !isBelow(target, '/var') && options.lastIndexOf('ro') <= options.lastIndexOf('rw');
  const what = [
    ...when(isWritable, optionsWill(['ro'], 'added')),
    ...when(useless.length > 0, optionsWill(useless, 'removed')),
    ...when(pass !== 0, 'the last field will be set to 0'),
  ].join('; ');
  if (what === '') return undefined;
  return {
    what,
    edit: (line) => {
      const kept = optionsOf(line).filter((option) => !needsWritable.test(option));
      const wanted = isWritable ? addOption(kept, 'ro', 'rw') : kept;
      const list = wanted.length === 0 ? ['defaults'] : wanted;
      const changed = isWritable || useless.length > 0 ? withOptions(line, list) : line;
      return pass === 0 ? changed : withoutPass(changed);
    },
  };
}

function optionsWill(options: readonly string[], verb: 'added' | 'removed'): string {
  return `${options.length === 1 ? 'option' : 'options'} ${options.join(',')} will be ${verb}`;
}

function swapChange(look: Snapshot, entry: FstabEntry): Change | undefined {
  const { source } = entry;
  const isFile = source.startsWith('/') && !isBelow(source, '/dev');
  const onSystem = isFile
    ? look.systemDisks.holds(look.mounts.serving(source))
    : look.systemDisks.includes(entry.disks);
  if (!onSystem) return undefined;
  return {
    what: `${source} will be commented out, because its disk becomes read-only; use zram or a separate disk for swap`,
    edit: commentedOut('on the disk that becomes read-only; use zram or a separate disk for swap'),
  };
}

/** Reports a line whose device does not exist, because the boot waits 90 seconds for it. */
function missing({ line, source, missing: isMissing, options }: FstabEntry): string[] {
  return when(
    isMissing && !options.includes('nofail') && !options.includes('noauto'),
    `Line ${line}: ${source} does not exist; remove the line or add the option nofail.`,
  );
}
