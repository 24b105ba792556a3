import type { BlockDevice } from '../facts/disks/block-devices.ts';
import { type Tag, isLabel, tagKey, tagOfFile } from '../facts/disks/identities.ts';
import { tagOfSource } from '../facts/disks/tags.ts';
import type { FstabEntry, LinkedFstabLine, FstabLine } from '../facts/mounts/fstab.ts';
import { unwrap, valueOf } from '../facts/observed.ts';
import type { Impostor } from '../facts/boot/boot-env.ts';
import type { Facts } from '../facts/facts.ts';
import { words } from '../config/config.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { type PhysicalVolume, bestSealed, genuineOf, haveSameDisk, posesAsMember } from './impostor-rule.ts';

/** Maps an identity (tagKey) to the devices that carry it. */
type Carriers = ReadonlyMap<string, readonly BlockDevice[]>;

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

function carriersOf(carriers: Carriers, tag: Tag | undefined): readonly BlockDevice[] {
  return tag === undefined ? [] : (carriers.get(tagKey(tag)) ?? []);
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

/**
 * A mount that uses an impostor, although a device on a disk that the host made read-only has the requested identity. The
 * impostor is the mounted device or below it.
 */
export interface ForeignMount extends Impostor {
  target: string;
}

type Known = Pick<
  Facts,
  'blockDevices' | 'mounts' | 'fstab' | 'kernelArgument' | 'config' | 'layers' | 'overlays'
>;

/**
 * Finds the mounts that use an impostor, at / and at the targets of fstab and REQUIRE_READONLY. Does not use udev
 * links, because they point to the device that udev processed last.
 * @throws SystemError if the devices, the mounts or fstab cannot be read; Error if the device of a mounted Btrfs is
 *     unknown
 */
export function findForeignMounts(facts: Known, carriers: Carriers): ForeignMount[] {
  const devices = unwrap(facts.blockDevices);
  const lines = Map.groupBy(unwrap(facts.fstab).lines.filter(isMount), ({ target }) => target);
  const targets = new Set(['/', ...words(facts.config.REQUIRE_READONLY), ...lines.keys()]);
  return [...targets].flatMap((target) => {
    const sources = (lines.get(target) ?? []).map(({ source }) => source);
    const requested = [...argumentsFor(target, facts.kernelArgument), ...sources];
    const [first] = impostorsAt(mountOf(facts, target), requested, { devices, carriers });
    return first === undefined ? [] : [{ target, ...first }];
  });
}

function isMount({ target, type }: FstabLine): boolean {
  return target.startsWith('/') && type !== 'swap';
}

/**
 * Returns the source that root= (dracut.cmdline(7)) or mount.usr= (systemd-fstab-generator(8)) requests for a target.
 * The last argument takes effect.
 */
function argumentsFor(target: string, kernelArgument: readonly string[]): string[] {
  const name = { '/': 'root=', '/usr': 'mount.usr=' }[target];
  const word = name === undefined ? undefined : kernelArgument.findLast((each) => each.startsWith(name));
  return word === undefined ? [] : [word.slice(word.indexOf('=') + 1).replace(/^block:/, '')];
}

/**
 * Returns the mount of the disk's file system at a target. If the boot mounted an overlay there, this is its lower
 * layer.
 */
function mountOf({ mounts, layers, overlays }: Known, target: string): Mount | undefined {
  const mount = mounts.serving(target);
  if (mount?.target !== target) return undefined;
  if (mount.type !== 'overlay') return mount;
  const other = unwrap(overlays).find((each) => each.target === target)?.lower;
  const lower = layers.find((layer) => layer.target === target)?.lower ?? other?.view ?? '';
  const below = mounts.serving(lower);
  return below?.target === lower ? below : undefined;
}

interface Devices {
  devices: readonly BlockDevice[];
  carriers: Carriers;
}

function impostorsAt(mount: Mount | undefined, requested: readonly string[], all: Devices): Impostor[] {
  // A tmpfs, a network file system or an automount point has no device, so it cannot use an impostor.
  if (mount === undefined || (mount.device.startsWith('0:') && mount.type !== 'btrfs')) return [];
  const mounted = mountedDevices(mount, all.devices);
  const stack = new Set(mounted.flatMap((device) => device.stack));
  const below = all.devices.filter(({ name }) => stack.has(name));
  const file = mounted[0]?.file ?? mount.source;
  return [
    ...requested.flatMap((source) => otherThanRequested(tagOfSource(source), file, stack, all)),
    ...below.flatMap((device) => copyOfMember(device, stack, all)),
    ...below.flatMap((device) => inAnotherGroup(device, all)),
  ];
}

/** Returns the devices of a mount. A Btrfs has an anonymous device number; the source of its mount is one of its devices. */
function mountedDevices({ device, type, source }: Mount, devices: readonly BlockDevice[]): BlockDevice[] {
  if (type !== 'btrfs') return devices.filter((each) => each.device === device);
  const found = devices.find(({ file, name }) => [file, `/dev/${name}`].includes(source));
  if (found === undefined)
    throw new Error(`cannot determine the device of the Btrfs that is mounted from ${source}`);
  return [found];
}

/** Reports that the requested device is on a sealed disk, but a different device is mounted. */
function otherThanRequested(
  tag: Tag | undefined,
  file: string,
  stack: ReadonlySet<string>,
  { carriers }: Devices,
): Impostor[] {
  const sealed = bestSealed(carriersOf(carriers, tag));
  const [first] = sealed;
  if (tag === undefined || first === undefined || sealed.some(({ name }) => stack.has(name))) return [];
  return [{ device: file, sealedDevice: first.file, identity: tag }];
}

/** Reports copies of a physical volume, of a LUKS header or of a member of an array that are below the mount. */
function copyOfMember(
  device: BlockDevice,
  stack: ReadonlySet<string>,
  { devices, carriers }: Devices,
): Impostor[] {
  const uuids = device.tags.filter((tag) => tag.startsWith('UUID='));
  return uuids.flatMap((tag) => {
    const genuine = genuineOf(carriersOf(carriers, tag), device, devices);
    const [first] = genuine.filter(({ name }) => !stack.has(name));
    return first === undefined ? [] : [{ device: device.file, sealedDevice: first.file, identity: tag }];
  });
}

/** Reports that a physical volume below the mount poses as a member of a sealed volume group. */
function inAnotherGroup(device: BlockDevice, { devices }: Devices): Impostor[] {
  const [volume] = volumesOf(device);
  const sealed = devices.filter((each) => genuineOf([each], device, []).length > 0);
  const group =
    volume &&
    posesAsMember(
      sealed.flatMap((each) => membersOf(each, devices)),
      volume,
    );
  const first = group === undefined ? undefined : sealed.find((each) => each.volumeGroup?.name === group);
  return first === undefined
    ? []
    : [{ device: device.file, sealedDevice: first.file, identity: `VG=${group}` }];
}

/** Returns what the rule knows of a physical volume; empty for another device. */
function volumesOf({ tags, volumeGroup: group }: BlockDevice): PhysicalVolume[] {
  const uuid = tags.find((tag) => tag.startsWith('UUID='))?.slice('UUID='.length) ?? '';
  return group === undefined ? [] : [{ uuid, groupUuid: group.uuid, group: group.name }];
}

/**
 * Returns the members of the group of a physical volume. If its metadata could not be read, these are the physical volumes below the
 * same devices.
 */
function membersOf(volume: BlockDevice, devices: readonly BlockDevice[]): PhysicalVolume[] {
  const [own] = volumesOf(volume);
  if (own === undefined) return [];
  const members = volume.volumeGroup?.members;
  if (members !== undefined) return [own, ...members.map((uuid) => ({ ...own, uuid }))];
  const isBeside = (other: BlockDevice) =>
    devices.some(({ stack }) => stack.includes(volume.name) && stack.includes(other.name));
  return devices.filter(isBeside).flatMap(volumesOf);
}
