import { needsWritable } from '../../checks/fstab-consistent.ts';
import type { FstabEntry } from '../../facts/mounts/fstab-devices.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { type Edit, commentedOut, editText } from '../engine/fstab/edit.ts';
import { addOption, optionsOf, withOptions, withPass } from '../engine/fstab/line.ts';
import type { Look } from '../engine/snapshot.ts';
import type { Step } from '../engine/step.ts';

/**
 * fstab asks for nothing that a read-only disk cannot give: `ro` and no check of what is on the system's disk, no
 * swap there. Everything else stays as it is, to the letter.
 */
export function planFstab(look: Look): Step {
  const { text, lines, problems } = look.fstab;
  const edits = new Map<number, Edit>();
  const why: string[] = [];
  for (const entry of lines) {
    const change = changeOf(look, entry);
    if (change === undefined) continue;
    edits.set(entry.line, change.edit);
    why.push(`Line ${entry.line}, ${entry.target}: ${change.what}.`);
  }
  if (text !== null && edits.size > 0) {
    if (look.reader.stat('/etc/fstab')?.kind !== 'file') {
      return { id: 'fstab', state: 'blocked', why: ['/etc/fstab is no ordinary file.', ...why], actions: [] };
    }
    const after = editText(text, edits);
    return {
      id: 'fstab',
      state: 'needed',
      why,
      actions: [{ do: 'edit', file: '/etc/fstab', before: text, after }],
    };
  }
  const doubts = [
    ...problems.map(({ line, reason }) => `Line ${line}: ${reason}; correct it.`),
    ...lines.flatMap((entry) => missing(entry)),
  ];
  if (doubts.length > 0) return { id: 'fstab', state: 'by hand', why: doubts, actions: [] };
  return {
    id: 'fstab',
    state: 'done',
    why: ['/etc/fstab asks for nothing that a read-only disk cannot give.'],
    actions: [],
  };
}

interface Change {
  what: string;
  edit: Edit;
}

function changeOf(look: Look, entry: FstabEntry): Change | undefined {
  if (entry.type === 'swap') return swapChange(look, entry);
  const { target } = entry;
  if (!target.startsWith('/')) return undefined;
  // What is bound or on a server names no disk.
  if (!look.systemDisks.includes(entry.disks)) return undefined;
  // It is going to be on another disk.
  if (isBelow(target, '/home') && !look.homeIsSkipped) return undefined;
  return mountChange(entry);
}

function mountChange({ target, options, pass }: FstabEntry): Change | undefined {
  const vain = options.filter((option) => needsWritable.test(option));
  // What is at /var or below it the boot mounts read-only itself, below an overlay.
  const isWritable = !isBelow(target, '/var') && options.lastIndexOf('ro') <= options.lastIndexOf('rw');
  const what = [
    ...(isWritable ? ['read-only (ro)'] : []),
    ...(pass === 0 ? [] : ['not checked at boot (pass 0)']),
    ...(vain.length === 0 ? [] : [`without ${vain.join(',')}`]),
  ].join(', ');
  if (what === '') return undefined;
  return {
    what,
    edit: (pieces) => {
      const kept = optionsOf(pieces).filter((option) => !needsWritable.test(option));
      const wanted = isWritable ? addOption(kept, 'ro', 'rw') : kept;
      const changed = isWritable || vain.length > 0 ? withOptions(pieces, orDefaults(wanted)) : pieces;
      return pass === 0 ? changed : withPass(changed, 0);
    },
  };
}

function orDefaults(options: readonly string[]): readonly string[] {
  return options.length === 0 ? ['defaults'] : options;
}

/** Where memory is written out to, at boot and later. */
function swapChange(look: Look, entry: FstabEntry): Change | undefined {
  const { source } = entry;
  const isFile = source.startsWith('/') && !isBelow(source, '/dev');
  const onSystem = isFile
    ? look.systemDisks.holds(look.mounts.serving(source))
    : look.systemDisks.includes(entry.disks);
  if (!onSystem) return undefined;
  return {
    what: `no swap on ${source}, which becomes read-only; zram, or a disk of its own, can take its place`,
    edit: commentedOut('on the disk that becomes read-only; use zram or a disk of its own for swap'),
  };
}

/** The boot waits a minute and a half for it. */
function missing({ line, source, missing: isMissing, options }: FstabEntry): string[] {
  if (!isMissing || options.includes('nofail') || options.includes('noauto')) return [];
  return [`Line ${line}: ${source} is not there; take the line out or give it the option nofail.`];
}
