import { nodeOfFile } from '../../agent/facts/disks/block.ts';
import { namesIfThere } from '../../agent/system/names.ts';
import { disksOfDevice } from '../guest/disks.ts';
import type { BootReader } from '../native/reader.ts';

/**
 * Returns the device file of a sealed member of an md array, if the sealed members are complete, so that a writable device cannot be
 * a member; otherwise undefined: the array spans sealed and writable disks, or has no sealed member.
 * @param uuid ID_FS_UUID_ENC
 */
export function completeBySealed(reader: BootReader, uuid: string): string | undefined {
  if (uuid === '' || uuid.includes('/')) return undefined;
  const folder = `/dev/block/immutafs/member/${uuid}`;
  const sealed = namesIfThere(reader, folder).filter(
    (name) => nodeOfFile(reader, `${folder}/${name}`) !== undefined,
  );
  const file = sealed.length === 0 ? undefined : `/dev/${sealed.at(-1) ?? ''}`;
  if (file === undefined) return undefined;
  // An unknown number (0) is treated as complete, so that the writable member is rejected.
  return sealed.length >= devicesOfArray(reader, file) ? file : undefined;
}

/**
 * Whether a device on a writable disk may be a member of its md array: not if all members are on sealed disks.
 * @param name the kernel name of the device
 */
export function mayJoin(reader: BootReader, name: string, uuid: string): boolean {
  const { state } = disksOfDevice(reader, `/sys/class/block/${name}`);
  return state === 'sealed' || completeBySealed(reader, uuid) === undefined;
}

/**
 * Returns the number of members; 0 if it is unknown. Reads it from a sealed member, because an array that is in use has the number
 * that its newest member has, which may be the copy.
 */
function devicesOfArray(reader: BootReader, file: string): number {
  const program = ['/usr/sbin/mdadm', '/sbin/mdadm'].find((each) => reader.stat(each) !== undefined);
  const output = program === undefined ? '' : (reader.run(program, '--examine', '--export', file) ?? '');
  return Number(/^MD_DEVICES=(\d{1,9})$/m.exec(output)?.[1] ?? 0);
}
