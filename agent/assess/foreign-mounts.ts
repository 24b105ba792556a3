import { words } from '../config/config.ts';
import type { BlockDevice } from '../facts/disks/block-devices.ts';
import { type Tag, tagOfSource } from '../facts/disks/tags.ts';
import type { Facts } from '../facts/facts.ts';
import type { FstabLine } from '../facts/mounts/fstab.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import { type Carriers, bestSealed, carriersOf, genuineOf } from './identities.ts';

/**
 * A mount that uses an impostor, although a device on a disk that the host made read-only has the requested identity.
 */
export interface ForeignMount {
  target: string;
  /** The mounted device, or the impostor below the mounted device. */
  device: string;
  sealedDevice: string;
  identity: string;
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

type Found = Omit<ForeignMount, 'target'>;

function impostorsAt(mount: Mount | undefined, requested: readonly string[], all: Devices): Found[] {
  // A tmpfs, a network file system or an automount point has no device, so it cannot use an impostor.
  if (mount === undefined || (mount.device.startsWith('0:') && mount.type !== 'btrfs')) return [];
  const mounted = mountedDevices(mount, all.devices);
  const stack = new Set(mounted.flatMap((device) => device.stack));
  const below = all.devices.filter(({ name }) => stack.has(name));
  const file = mounted[0]?.file ?? mount.source;
  return [
    ...requested.flatMap((source) => otherThanRequested(tagOfSource(source), file, stack, all)),
    ...below.flatMap((device) => copyOfMember(device, stack, all)),
    ...below.flatMap((device) => inAnotherGroup(device, stack, all)),
  ];
}

/**
 * Returns the devices of a mount. A Btrfs has an anonymous device number; the source of its mount is one of its
 * devices, and the others are listed as members of this device.
 */
function mountedDevices({ device, type, source }: Mount, devices: readonly BlockDevice[]): BlockDevice[] {
  if (type !== 'btrfs') return devices.filter((each) => each.device === device);
  const found = devices.find(({ file, name }) => [file, `/dev/${name}`].includes(source));
  if (found === undefined)
    throw new Error(`cannot determine the device of the Btrfs that is mounted from ${source}`);
  return [found, ...devices.filter(({ name }) => name !== found.name && found.members.includes(name))];
}

/** Reports that the requested device is on a sealed disk, but a different device is mounted. */
function otherThanRequested(
  tag: Tag | undefined,
  file: string,
  stack: ReadonlySet<string>,
  { carriers }: Devices,
): Found[] {
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
): Found[] {
  const uuids = device.tags.filter((tag) => tag.startsWith('UUID='));
  return uuids.flatMap((tag) => {
    const genuine = genuineOf(carriersOf(carriers, tag), device, devices);
    const [first] = genuine.filter(({ name }) => !stack.has(name));
    return first === undefined ? [] : [{ device: device.file, sealedDevice: first.file, identity: tag }];
  });
}

/** Reports that the volume group below the mount has the name of a sealed volume group, but a different UUID. */
function inAnotherGroup(device: BlockDevice, stack: ReadonlySet<string>, { devices }: Devices): Found[] {
  const { volumeGroup: group } = device;
  if (group === undefined) return [];
  const same = devices.filter(
    ({ volumeGroup }) => volumeGroup?.name === group.name && volumeGroup.uuid !== group.uuid,
  );
  const [first] = genuineOf(same, device, devices).filter(({ name }) => !stack.has(name));
  if (first === undefined) return [];
  return [{ device: device.file, sealedDevice: first.file, identity: `VG=${group.name}` }];
}
