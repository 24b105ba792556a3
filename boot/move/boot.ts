import { moveMarker } from '../../agent/facts/boot/marker-files.ts';
import { isJournalMoved } from '../../agent/facts/boot/moved-journal.ts';
import { onFile, unlessSystemError } from '../../agent/lib/errors.ts';
import { baseName, parentOf } from '../../agent/lib/paths.ts';
import type { Context } from '../guest/command.ts';
import { makeDirectories, reopen, using } from '../native/directories.ts';
import { runProgram } from '../native/programs.ts';

/** Exists in a boot that cannot move, although there is the marker. */
export const moveRefused = '/run/immutafs/move-refused';
/** Exists in a boot that has been counted. */
const counted = '/run/immutafs/move-counted';
const mostBoots = 3;

/**
 * Counts a boot that moves data. If three boots have ended without having removed the file, it is removed instead, and boots are
 * ordinary again.
 * @returns whether the boot moves data
 */
export function beginMove({ native, reader }: Context): boolean {
  const [text = ''] = (unlessSystemError(() => reader.read(moveMarker)) ?? '').split('\n');
  const count = /^[0-3]$/.test(text) ? Number(text) : 0;
  const isLast = count === mostBoots;
  if (isLast) removeMarker({ native });
  // In place, which needs no space.
  else onFile(moveMarker, () => native.overwrite(moveMarker, `${count + 1}\n`));
  makeDirectories(native, parentOf(counted));
  onFile(counted, () => native.write(counted, ''));
  if (isLast)
    native.print(
      2,
      'immutafs: data is not moved: three boots have not completed it. See: immutafs-agent prepare\n',
    );
  return !isLast;
}

function removeMarker({ native }: Pick<Context, 'native'>): void {
  const folder = parentOf(moveMarker);
  using(native, reopen(native, folder), (directory) =>
    onFile(moveMarker, () => {
      native.removeAt(directory, baseName(moveMarker));
      native.sync(directory);
    }),
  );
}

/**
 * Reboots. If this boot could not be counted, because / is not writable, the reboot would lead here again: the ordinary units start
 * instead.
 */
export function endMove(context: Context): void {
  const { native, reader } = context;
  // Otherwise the messages of this boot would be in memory only.
  if (!isJournalMoved(reader)) run(context, 30, 'journalctl', '--flush');
  if (reader.stat(counted) !== undefined || reader.stat(moveMarker) === undefined) {
    native.print(1, 'immutafs: rebooting\n');
    if (!run(context, 60, 'systemctl', '--no-block', 'reboot'))
      run(context, 60, 'systemctl', '--force', 'reboot');
    return;
  }
  native.print(
    2,
    `immutafs: data is not moved: ${moveMarker} cannot be written. See dmesg, then run: immutafs-agent prepare\n`,
  );
  refuseMove(context);
  run(context, 50, 'systemctl', '--no-block', 'isolate', 'multi-user.target');
}

/** Lets the generator write the units of an ordinary boot, which mount what has been moved before. */
function refuseMove(context: Context): void {
  const { native } = context;
  makeDirectories(native, parentOf(moveRefused));
  onFile(moveRefused, () => native.write(moveRefused, ''));
  run(context, 30, 'systemctl', 'daemon-reload');
}

/**
 * Removes the file and reboots, because a file system could not be mounted. If the file cannot be removed, the emergency shell
 * follows, from which the ordinary units can be started.
 */
export function abandonMove(context: Context): void {
  try {
    removeMarker(context);
  } catch (error) {
    refuseMove(context);
    throw error;
  }
  context.native.print(
    2,
    'immutafs: data is not moved: a file system could not be mounted. Rebooting; then run: immutafs-agent prepare\n',
  );
  // A reboot by jobs would conflict with the start of emergency.service.
  run(context, 60, 'systemctl', '--force', 'reboot');
}

/** Runs a program, whose output is passed on. @returns whether it succeeded */
function run({ native }: Context, seconds: number, program: string, ...words: string[]): boolean {
  const { code, output } = runProgram(native, seconds, program, ...words);
  if (output !== '') native.print(1, `${output}\n`);
  return code === 0;
}
