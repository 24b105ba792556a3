import type { BlockDevice } from '../facts/disks/block-devices.ts';
import { type Tag, tagKey, tagOfFile } from '../facts/disks/tags.ts';
import type { FstabEntry, LinkedFstabLine } from '../facts/mounts/fstab.ts';
import { unwrap } from '../facts/observed.ts';

/** Maps an identity (tagKey) to the devices that carry it. */
export type Carriers = ReadonlyMap<string, readonly BlockDevice[]>;

export function carriersByTag(devices: readonly BlockDevice[]): Carriers {
  const carriers = new Map<string, BlockDevice[]>();
  for (const device of devices) {
    for (const tag of device.tags) {
      const key = tagKey(tag);
      const others = carriers.get(key);
      if (others === undefined) carriers.set(key, [device]);
      else others.push(device);
    }
  }
  return carriers;
}

export function carriersOf(carriers: Carriers, tag: Tag | undefined): readonly BlockDevice[] {
  return tag === undefined ? [] : (carriers.get(tagKey(tag)) ?? []);
}

/**
 * Returns the genuine devices of which `device` is an impostor: the best sealed devices with the same identity, if
 * their disks are better sealed than the disks of `device`. Omits devices that share the identity with `device` by
 * design.
 * @param carriers the devices with this identity
 * @param all all block devices
 */
export function genuineOf(
  carriers: readonly BlockDevice[],
  device: BlockDevice,
  all: readonly BlockDevice[],
): BlockDevice[] {
  return bestSealed(carriers).filter(
    (genuine) => sealing(genuine) > sealing(device) && !belongTogether(genuine, device, all),
  );
}

/** Returns the devices with the strongest evidence that their disks are read-only; empty if all disks are writable. */
export function bestSealed(carriers: readonly BlockDevice[]): BlockDevice[] {
  const best = Math.max(0, ...carriers.map(sealing));
  return best === 0 ? [] : carriers.filter((each) => sealing(each) === best);
}

/**
 * 2: the device reports that the host made it read-only; 1: read-only, but not known whether by the host; 0: otherwise.
 */
function sealing({ hostReadOnly }: BlockDevice): number {
  return hostReadOnly === true ? 2 : hostReadOnly === null ? 1 : 0;
}

/**
 * Whether two devices share an identity by design, because they are members of the same array, volume or Btrfs, one is
 * above the other, or both are on paths to the same disk. `host-enforced` reports a writable path to a sealed disk.
 */
function belongTogether(one: BlockDevice, other: BlockDevice, all: readonly BlockDevice[]): boolean {
  if (one.members.includes(other.name)) return true;
  if (haveSameDisk(one, other)) return true;
  return all.some(({ stack }) => stack.includes(one.name) && stack.includes(other.name));
}

/** Whether two devices are on paths to the same disk. */
export function haveSameDisk(one: BlockDevice | undefined, other: BlockDevice | undefined): boolean {
  return one?.serials.some((serial) => other?.serials.includes(serial)) ?? false;
}

/**
 * Determines the device of each line of fstab. If a device on a sealed disk has the requested identity, this device is
 * used, because the udev link may point to an impostor. Otherwise, the target of the udev link is used; of several
 * devices with the requested identity, for example clones of a disk with /home, none is more genuine than the others.
 * @throws SystemError if the device of a line cannot be read
 */
export function describeEntries(lines: readonly LinkedFstabLine[], carriers: Carriers): FstabEntry[] {
  return lines.map(({ linked, ...line }) => {
    const same = carriersOf(carriers, tagOfFile(line.node));
    const [genuine] = bestSealed(same);
    const named = genuine === undefined ? unwrap(linked) : { ...genuine, missing: false };
    const copies = same.map(({ device }) => device).filter((each) => each !== named.device);
    const { device, missing, disks } = named;
    return { ...line, device, missing, disks, copies };
  });
}
