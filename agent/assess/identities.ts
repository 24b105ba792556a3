import type { BlockDevice } from '../facts/disks/block-devices.ts';
import { type Tag, tagKey } from '../facts/disks/tags.ts';

/** The devices with an identity, by tagKey. */
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
 * The genuine devices that `device` is an impostor of: those of the devices with the same identity whose disks are
 * better sealed. None if `device` and the genuine device belong together.
 * @param carriers the devices with the identity
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

/** The devices with the best proof that their disks are read-only; none if all are writable. */
export function bestSealed(carriers: readonly BlockDevice[]): BlockDevice[] {
  const best = Math.max(0, ...carriers.map(sealing));
  return best === 0 ? [] : carriers.filter((each) => sealing(each) === best);
}

/** 2: made read-only by the host, with proof; 1: read-only without proof; 0: writable. */
function sealing({ hostReadOnly }: BlockDevice): number {
  return hostReadOnly === true ? 2 : hostReadOnly === null ? 1 : 0;
}

/** Members of one array, volume or Btrfs, and a device above another: these share an identity by design. */
function belongTogether(one: BlockDevice, other: BlockDevice, all: readonly BlockDevice[]): boolean {
  if (one.members.includes(other.name)) return true;
  return all.some(({ stack }) => stack.includes(one.name) && stack.includes(other.name));
}
