/** Keeps copies of sealed members out of md arrays, before the root is mounted. */
import type { Impostor } from '../../agent/facts/boot/boot-env.ts';
import { onFile, unlessSystemError } from '../../agent/lib/errors.ts';
import { namesIfThere } from '../../agent/system/names.ts';
import { noteImpostor } from '../guest/boot-env.ts';
import { type Early, programFile } from '../guest/command.ts';
import { isSealedDevice } from '../guest/disks.ts';
import { hasLinks, namesOf, readUdevData } from '../guest/udev.ts';
import { completeBySealed } from './members.ts';

/**
 * Stops the arrays that contain a copy of a sealed member, unless they are part of the stack under the root. udev in the real
 * root then assembles them from their sealed members (63-immutafs-members.rules). An array that is in use cannot be stopped.
 * @returns whether there is such an array
 */
export function stopForeignArrays(boot: Early, stack: readonly string[]): boolean {
  const { native, reader, warn } = boot;
  if (!hasLinks(reader, 'member')) return false;
  const arrays = reader
    .list('/sys/class/block')
    .filter((name) => name.startsWith('md') && reader.stat(`/sys/class/block/${name}/md`) !== undefined)
    .filter((name) => !stack.includes(name));
  const foreign = arrays.flatMap((array) => {
    const copy = copyIn(boot, array);
    return copy === undefined ? [] : [{ array, copy }];
  });
  for (const { array, copy } of foreign) {
    const isStopped = native.run(programFile(reader, 'mdadm') ?? '', '--stop', `/dev/${array}`) !== undefined;
    noteImpostor(boot, copy, !isStopped);
    if (!isStopped)
      warn(
        `/dev/${array} contains ${copy.device}, a copy of ${copy.sealedDevice}, and is in use: detach the disk of ${copy.device}`,
      );
  }
  return foreign.length > 0;
}

/** Returns the first member of an array that is a copy of a sealed member. */
function copyIn({ reader }: Early, array: string): Impostor | undefined {
  for (const name of namesIfThere(reader, `/sys/class/block/${array}/slaves`)) {
    if (isSealedDevice(reader, name)) continue;
    const { uuid } = readUdevData(reader, name);
    const sealedDevice = completeBySealed(reader, uuid);
    if (sealedDevice !== undefined) return { device: `/dev/${name}`, sealedDevice, identity: `UUID=${uuid}` };
  }
  return undefined;
}

/**
 * Stops the arrays that contain copies of sealed members, which udev found before the sealed members, and lets udev add the sealed
 * members, which the kernel had rejected.
 */
export function releaseForeignMembers(boot: Early): void {
  const { native, reader } = boot;
  if (!stopForeignArrays(boot, [])) return;
  // A member of a running array has a holder.
  const released = namesOf(reader, 'md').filter(
    (name) => namesIfThere(reader, `/sys/class/block/${name}/holders`).length === 0,
  );
  for (const name of released) {
    const file = `/sys/class/block/${name}/uevent`;
    unlessSystemError(() => onFile(file, () => native.write(file, 'add\n')));
  }
  if (released.length > 0) native.run(programFile(reader, 'udevadm') ?? '', 'settle', '--timeout=90');
}
