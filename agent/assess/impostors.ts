import type { Impostor } from '../facts/boot/boot-env.ts';
import { isLabel, tagKey, tagOfFile, tagOfSource } from '../facts/disks/tags.ts';
import type { Facts } from '../facts/facts.ts';
import { unwrap, valueOf } from '../facts/observed.ts';
import { type Carriers, carriersOf, genuineOf, haveSameDisk } from './identities.ts';

/**
 * Finds the impostors among all block devices and adds those that the initramfs ignored in this boot. A label is
 * considered only if fstab or the kernel command line requests it, because many unrelated partitions have the same
 * label, such as "Linux filesystem".
 * @throws SystemError if the devices or fstab cannot be read
 */
export function findImpostors(
  facts: Pick<Facts, 'blockDevices' | 'bootEnv' | 'fstab' | 'kernelArgument'>,
  carriers: Carriers,
): Impostor[] {
  const devices = unwrap(facts.blockDevices);
  const requested = requestedTags(facts);
  const found = devices.flatMap((device) =>
    device.tags
      .filter((tag) => !isLabel(tag) || requested.has(tagKey(tag)))
      .flatMap((tag) => {
        const genuine = genuineOf(carriersOf(carriers, tag), device, devices).find(
          ({ content }) => !isInstallationMedium(content) || requested.has(tagKey(tag)),
        );
        if (genuine === undefined) return [];
        return [{ device: device.file, sealedDevice: genuine.file, identity: tag }];
      }),
  );
  const boot = valueOf(facts.bootEnv)?.impostors ?? [];
  const isFound = (one: Impostor) =>
    found.some((each) => each.device === one.device && each.sealedDevice === one.sealedDevice);
  const named = (file: string) => devices.find((each) => each.file === file);
  // The initramfs does not compare serial numbers.
  const isOtherPath = (one: Impostor) => haveSameDisk(named(one.device), named(one.sealedDevice));
  return [...found, ...boot.filter((one) => !isFound(one) && !isOtherPath(one))];
}

/**
 * Returns the impostors of the disks below / if the initramfs has not recorded that it mounted the root from one of these
 * disks. The impostor may then be the disk from which the machine starts: the host left that disk writable, and the guest
 * has changed its root since the boot, by a soft reboot or kexec, to a copy that the host made read-only.
 * @throws SystemError if the disks cannot be read
 */
export function findPossibleRoots(
  { disks, blockDevices, bootEnv }: Pick<Facts, 'disks' | 'blockDevices' | 'bootEnv'>,
  impostors: readonly Impostor[],
): Impostor[] {
  const below = unwrap(disks).filter(({ holds }) => holds.includes('/'));
  const isBelow = (name: string) => below.some((disk) => disk.name === name);
  const boot = valueOf(bootEnv);
  const recorded = boot?.stage === 'initramfs' ? boot.disks.split(' ') : [];
  if (recorded.some((disk) => isBelow(disk.replace(/:.*/, '')))) return [];
  const devices = unwrap(blockDevices);
  return impostors.filter(({ sealedDevice }) =>
    devices.find(({ file }) => file === sealedDevice)?.disks.some(({ name }) => isBelow(name)),
  );
}

/** Returns the keys (tagKey) of the tags in fstab and on the kernel command line. */
function requestedTags({
  fstab,
  kernelArgument,
}: Pick<Facts, 'fstab' | 'kernelArgument'>): ReadonlySet<string> {
  const tags = [
    ...unwrap(fstab).lines.map(({ node }) => tagOfFile(node)),
    ...kernelArgument.map((word) => tagOfSource(word.slice(word.indexOf('=') + 1))),
  ];
  return new Set(tags.flatMap((tag) => (tag === undefined ? [] : [tagKey(tag)])));
}

/** Whether the content is that of an installation medium. A copy of such a medium is not a copy of the system. */
function isInstallationMedium(content: string): boolean {
  return content === 'iso9660' || content === 'udf';
}
