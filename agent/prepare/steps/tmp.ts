import {
  type Edit,
  addOption,
  appendLines,
  commentedOut,
  editText,
  optionsOf,
  withOptions,
} from '../engine/fstab.ts';
import type { FstabEntry } from '../../facts/mounts/fstab.ts';
import { requiredOptions } from '../../facts/mounts/targets.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action, Settings, Step } from '../engine/step.ts';
import { findTmpUnits } from './tmp-units.ts';

/**
 * The value of nr_inodes. The article's 5k do not suffice to unpack one large archive. An inode in use takes about a
 * kilobyte of memory.
 */
const inodes = '50k';
const opposites: Record<string, string> = { noexec: 'exec', nodev: 'dev', nosuid: 'suid' };

/** Plans the step `tmp`: /tmp is a noexec tmpfs. The content of the present /tmp stays on the disk, below the mount. */
export function planTmp(look: Snapshot): Step {
  const lines = look.fstab.lines.filter(({ target }) => target === '/tmp');
  if (lines.length > 1) {
    const numbers = lines.map(({ line }) => line).join(', ');
    const why = [`/etc/fstab has several lines for /tmp (${numbers}): keep one.`];
    return { id: 'tmp', state: 'by hand', why, actions: [] };
  }
  const required = requiredForTmp(look);
  const units = findTmpUnits(look.reader, required);
  if (lines.length === 0 && units.serving !== undefined) {
    const why = [`${units.serving} mounts a tmpfs with ${required.join(',')}.`];
    return { id: 'tmp', state: 'done', why, actions: [] };
  }
  const actions: Action[] = units.overriding.map(({ file }) => ({ do: 'remove', file }));
  const why = units.overriding.map(({ file, reason }) => `${file} overrides /etc/fstab and ${reason}.`);
  const text = look.fstab.text ?? '';
  const change = changeOf(look, lines[0], required);
  if (change !== undefined) {
    why.push(change.what);
    actions.push({ do: 'edit', file: '/etc/fstab', before: look.fstab.text, after: change.apply(text) });
  }
  if (actions.length > 0) return { id: 'tmp', state: 'needed', why, actions };
  return { id: 'tmp', state: 'done', why: [`/etc/fstab has /tmp with ${required.join(',')}.`], actions: [] };
}

interface Change {
  what: string;
  apply: (text: string) => string;
}

function changeOf(
  look: Snapshot,
  entry: FstabEntry | undefined,
  required: readonly string[],
): Change | undefined {
  const lines = newLines(look.settings, required);
  if (entry === undefined) {
    return {
      what: '/etc/fstab has no /tmp: a tmpfs will be added.',
      apply: (text) => appendLines(text, lines),
    };
  }
  const { line, options, type, source, disks } = entry;
  const onSystem = look.systemDisks.includes(disks);
  if (onSystem || options.includes('bind') || options.includes('rbind')) {
    const replace: Edit = (pieces) => {
      const out = commentedOut('/tmp is in memory now')(pieces);
      return Array.isArray(out) ? out : { lines: [...out.lines, ...lines] };
    };
    return {
      what: `Line ${line}: /tmp is on ${source}, ${onSystem ? 'which becomes read-only' : 'a bind mount'}: a tmpfs will replace it.`,
      apply: (text) => editText(text, new Map([[line, replace]])),
    };
  }
  const wanted = withSettings(look.settings, type === 'tmpfs', withRestrictions(options, required));
  if (wanted.join() === options.join()) return undefined;
  const edit: Edit = (pieces) =>
    withOptions(
      pieces,
      withSettings(look.settings, type === 'tmpfs', withRestrictions(optionsOf(pieces), required)),
    );
  return {
    what: `Line ${line}: /tmp will have the options ${wanted.join(',')} instead of ${options.join(',')}.`,
    apply: (text) => editText(text, new Map([[line, edit]])),
  };
}

function newLines({ tmpSize = '25%', tmpMode = '1777' }: Settings, required: readonly string[]): string[] {
  const options = ['rw', `size=${tmpSize}`, `nr_inodes=${inodes}`, ...required, `mode=${tmpMode}`];
  return ['# /tmp in memory', `tmpfs /tmp tmpfs ${options.join(',')} 0 0`];
}

function withRestrictions(options: readonly string[], required: readonly string[]): string[] {
  return required.reduce<string[]>(
    (list, option) => addOption(list, option, opposites[option] ?? ''),
    [...options],
  );
}

/**
 * Sets the size and mode of an existing line to the values of --tmp-size and --tmp-mode, if these options are given.
 */
function withSettings({ tmpSize, tmpMode }: Settings, isTmpfs: boolean, options: string[]): string[] {
  if (!isTmpfs) return options;
  const values = [
    ['size', tmpSize],
    ['mode', tmpMode],
  ] as const;
  return values.reduce(
    (list, [key, value]) => (value === undefined ? list : withValue(list, key, value)),
    options,
  );
}

function withValue(options: readonly string[], key: string, value: string): string[] {
  const wanted = `${key}=${value}`;
  const others = options.filter((option) => !option.startsWith(`${key}=`));
  if (others.length === options.length) return [...others, wanted];
  return options.flatMap((option) => (option.startsWith(`${key}=`) ? [wanted] : [option]));
}

/** Returns the options of REQUIRE_OPTIONS for /tmp, in a fixed order, or all three if it does not name /tmp. */
function requiredForTmp({ config }: Snapshot): string[] {
  const list = requiredOptions(config).find(({ target }) => target === '/tmp')?.list;
  return Object.keys(opposites).filter((option) => list === undefined || list.includes(option));
}
