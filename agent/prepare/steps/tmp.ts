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
import type { SystemReader } from '../../system/reader.ts';
import { type Part, type Planned, stepFrom, stepOf } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action, Settings } from '../engine/step.ts';

/**
 * The value of nr_inodes. The article's 5k do not suffice to unpack one large archive. An inode in use takes about a
 * kilobyte of memory.
 */
const inodes = '50k';

/** Plans the step `tmp`: /tmp is a noexec tmpfs. The content of the present /tmp stays on the disk, below the mount. */
export function planTmp(look: Snapshot): Planned {
  const { reader, mounts } = look;
  const isMounted = reader.image === undefined && mounts.at('/tmp').length > 0;
  const kind = isMounted ? 'directory' : reader.stat('/tmp')?.kind;
  // systemd refuses to mount on a symbolic link (src/core/unit.c, unit_fail_if_symlink), and the boot needs each mount of fstab.
  if (kind !== undefined && kind !== 'directory') {
    const what = kind === 'link' ? `a link to ${reader.link('/tmp')}` : 'not a directory';
    return stepOf('by hand', [
      `/tmp is ${what}, on which no boot can mount a file system: replace it by a directory of mode 1777.`,
    ]);
  }
  const lines = look.fstab.lines.filter(({ target }) => target === '/tmp');
  if (lines.length > 1) {
    const numbers = lines.map(({ line }) => line).join(', ');
    return stepOf('by hand', [`/etc/fstab has several lines for /tmp (${numbers}): keep one.`]);
  }
  const required = requiredForTmp(look);
  const { serving, overriding } = findTmpUnits(look.reader, required);
  if (lines.length === 0 && serving !== undefined)
    return stepOf('done', [`${serving} mounts a tmpfs with ${required.join(',')}.`]);
  const removed = overriding.map(({ file }): Action => ({ do: 'remove', file }));
  const why = overriding.map(({ file, reason }) => `${file} overrides /etc/fstab and ${reason}.`);
  const parts = [{ why, actions: removed }, changeOf(look, lines[0], required)];
  return stepFrom(parts, () => [`/etc/fstab has /tmp with ${required.join(',')}.`]);
}

function changeOf(
  { fstab, settings, systemDisks }: Snapshot,
  entry: FstabEntry | undefined,
  required: readonly string[],
): Partial<Part> {
  const text = fstab.text ?? '';
  const lines = newLines(settings, required);
  const change = (what: string, after: string): Partial<Part> => ({
    why: [what],
    actions: [{ do: 'edit', file: '/etc/fstab', before: fstab.text, after }],
  });
  if (entry === undefined)
    return change('/etc/fstab has no /tmp: a tmpfs will be added.', appendLines(text, lines));
  const { line, options, type, source, disks } = entry;
  const edited = (edit: Edit) => editText(text, new Map([[line, edit]]));
  const onSystem = systemDisks.includes(disks);
  if (onSystem || options.includes('bind') || options.includes('rbind')) {
    return change(
      `Line ${line}: /tmp is on ${source}, ${onSystem ? 'which becomes read-only' : 'a bind mount'}: a tmpfs will replace it.`,
      edited((old) => [commentedOut('/tmp is in memory now')(old), ...lines].join('\n')),
    );
  }
  const correct = (list: readonly string[]) => {
    const restricted = required.reduce<readonly string[]>(
      (now, option) => addOption(now, option, option.replace(/^no/, '')),
      list,
    );
    return type === 'tmpfs' ? withSettings(settings, restricted) : restricted;
  };
  const wanted = correct(options).join(',');
  if (wanted === options.join(',')) return {};
  return change(
    `Line ${line}: /tmp will have the options ${wanted} instead of ${options.join(',')}.`,
    edited((old) => withOptions(old, correct(optionsOf(old)))),
  );
}

function newLines({ tmpSize = '25%', tmpMode = '1777' }: Settings, required: readonly string[]): string[] {
  const options = ['rw', `size=${tmpSize}`, `nr_inodes=${inodes}`, ...required, `mode=${tmpMode}`];
  return ['# /tmp in memory', `tmpfs /tmp tmpfs ${options.join(',')} 0 0`];
}

/** Sets the size and mode of an existing line to the values of --tmp-size and --tmp-mode, if these options are given. */
function withSettings({ tmpSize, tmpMode }: Settings, options: readonly string[]): readonly string[] {
  return withValue(withValue(options, 'size', tmpSize), 'mode', tmpMode);
}

function withValue(options: readonly string[], key: string, value: string | undefined): readonly string[] {
  if (value === undefined) return options;
  const isKey = (option: string) => option.startsWith(`${key}=`);
  const wanted = `${key}=${value}`;
  if (!options.some(isKey)) return [...options, wanted];
  return options.map((option) => (isKey(option) ? wanted : option));
}

/** Returns the options of REQUIRE_OPTIONS for /tmp, in a fixed order, or all three if it does not name /tmp. */
function requiredForTmp({ config }: Snapshot): string[] {
  const list = requiredOptions(config).find(({ target }) => target === '/tmp')?.list;
  return ['noexec', 'nodev', 'nosuid'].filter((option) => list === undefined || list.includes(option));
}

const unit = '/etc/systemd/system/tmp.mount';

/**
 * Finds tmp.mount and its drop-ins below /etc/systemd/system. They override the unit that systemd generates from fstab,
 * which overrides the distribution's tmp.mount (systemd.unit(5), "Unit File Load Path").
 * @param required mount options
 * @returns the administrator's tmp.mount, if it mounts /tmp as required; and the files that override fstab and do not mount
 * /tmp as required, with the reason as the predicate of a sentence
 */
function findTmpUnits(reader: SystemReader, required: readonly string[]) {
  // A link is left alone, because its files are elsewhere.
  const isDirectory = reader.stat(`${unit}.d`)?.kind === 'directory';
  const dropins = (isDirectory ? reader.list(`${unit}.d`) : []).filter((name) => name.endsWith('.conf'));
  const overriding: { file: string; reason: string }[] = [];
  let serving: string | undefined;
  for (const file of [unit, ...dropins.map((name) => `${unit}.d/${name}`)]) {
    const isLink = reader.stat(file)?.kind === 'link';
    const text = isLink && reader.link(file) === '/dev/null' ? '' : reader.readIfPresent(file);
    if (text === undefined) continue;
    if (file === unit) serving = unit;
    const isMask = file === unit && isLink && text === '';
    const reason = isMask ? 'masks tmp.mount' : wrongIn(text, required, file === unit);
    if (reason !== undefined) overriding.push({ file, reason });
  }
  return { serving: overriding.length === 0 ? serving : undefined, overriding };
}

function wrongIn(text: string, required: readonly string[], isUnit: boolean): string | undefined {
  const type = lastValue(text, 'Type');
  if (type !== undefined ? type !== 'tmpfs' : isUnit) return 'mounts no tmpfs';
  const options = lastValue(text, 'Options')?.split(',');
  if (options === undefined && !isUnit) return undefined;
  const lacking = required.filter((option) => options?.includes(option) !== true);
  return lacking.length === 0 ? undefined : `mounts /tmp without ${lacking.join(',')}`;
}

function lastValue(text: string, key: string): string | undefined {
  const lines = text.split('\n').map((line) => /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(line));
  return lines.findLast((found) => found?.[1] === key)?.[2];
}
