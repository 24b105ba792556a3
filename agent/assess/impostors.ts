import type { BlockDevice } from '../facts/disks/block-devices.ts';
import type { Facts } from '../facts/facts.ts';
import { unwrap } from '../facts/observed.ts';
import { isLabel, tagKey, tagOfFile, tagOfSource } from '../facts/disks/tags.ts';

/** A device that carries an identity of a device on a disk that the host made read-only, and is not on such a disk. */
export interface Impostor {
  /** /dev/vdb2 */
  device: string;
  sealedDevice: string;
  /** UUID=… */
  identity: string;
}

/**
 * The impostors among all block devices, and those that the boot passed over. Labels count only where fstab or the
 * kernel command line asks for them: "Linux filesystem" is the label of many partitions.
 * @throws HostError where the devices or fstab could not be looked at
 */
export function findImpostors(
  facts: Pick<Facts, 'blockDevices' | 'bootEnv' | 'fstab' | 'kernelArgument'>,
): Impostor[] {
  const devices = unwrap(facts.blockDevices);
  const asked = askedTags(facts);
  const byTag = carriersByTag(devices);
  const found = devices.flatMap((device) =>
    device.tags
      .filter((tag) => !isLabel(tag) || asked.has(tagKey(tag)))
      .flatMap((tag) => {
        const genuine = genuineOf(byTag.get(tagKey(tag)) ?? [], device, devices).find(
          ({ content }) => !isMedium(content) || asked.has(tagKey(tag)),
        );
        if (genuine === undefined) return [];
        return [{ device: device.file, sealedDevice: genuine.file, identity: tag }];
      }),
  );
  const boot = 'value' in facts.bootEnv ? (facts.bootEnv.value?.impostors ?? []) : [];
  const isFound = (one: Impostor) =>
    found.some((each) => each.device === one.device && each.sealedDevice === one.sealedDevice);
  return [...found, ...boot.filter((one) => !isFound(one))];
}

export function carriersByTag(devices: readonly BlockDevice[]): ReadonlyMap<string, BlockDevice[]> {
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

/**
 * Of the devices that carry an identity, those that `device` poses as: none where it is as well sealed as any of
 * them, or belongs together with them.
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

/** Those with the best proof that their disks are read-only; none where all are writable. */
export function bestSealed(carriers: readonly BlockDevice[]): BlockDevice[] {
  const best = Math.max(0, ...carriers.map(sealing));
  return best === 0 ? [] : carriers.filter((each) => sealing(each) === best);
}

/** Proven to be made read-only by the host, read-only without proof, writable. */
function sealing({ hostReadOnly }: BlockDevice): number {
  return hostReadOnly === true ? 2 : hostReadOnly === null ? 1 : 0;
}

/** Members of one array, volume or Btrfs, and what stands on another: they have an identity in common by right. */
function belongTogether(one: BlockDevice, other: BlockDevice, all: readonly BlockDevice[]): boolean {
  if (one.members.includes(other.name)) return true;
  return all.some(({ stack }) => stack.includes(one.name) && stack.includes(other.name));
}

/** What fstab and the kernel command line ask for, by key. */
function askedTags({ fstab, kernelArgument }: Pick<Facts, 'fstab' | 'kernelArgument'>): ReadonlySet<string> {
  const tags = [
    ...unwrap(fstab).lines.map(({ node }) => tagOfFile(node)),
    ...kernelArgument.map((word) => tagOfSource(word.slice(word.indexOf('=') + 1))),
  ];
  return new Set(tags.flatMap((tag) => (tag === undefined ? [] : [tagKey(tag)])));
}

/** A copy of an installation medium is no copy of the system. */
function isMedium(content: string): boolean {
  return content === 'iso9660' || content === 'udf';
}
