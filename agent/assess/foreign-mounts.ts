import { words } from '../config/config.ts';
import type { BlockDevice } from '../facts/disks/block-devices.ts';
import { type Tag, tagOfSource } from '../facts/disks/tags.ts';
import type { Facts } from '../facts/facts.ts';
import type { FstabLine } from '../facts/mounts/fstab.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import { type Carriers, bestSealed, carriersOf, genuineOf } from './identities.ts';

/** A mount of an impostor, although a disk that the host made read-only has the requested identity. */
export interface ForeignMount {
  target: string;
  /** The mounted device, or the impostor below it. */
  device: string;
  sealedDevice: string;
  identity: string;
}

type Known = Pick<Facts, 'blockDevices' | 'mounts' | 'fstab' | 'kernelArgument' | 'config' | 'layers'>;

/**
 * The mounts of an impostor at /, at the targets of fstab and at those of REQUIRE_READONLY. The links of udev are not
 * used, since they point to the device that udev processed last.
 * @throws HostError if the devices, the mounts or fstab cannot be read; Error if the device of a mounted Btrfs is
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
 * The value of root= (dracut.cmdline(7)) or mount.usr= (systemd-fstab-generator(8)); the last argument takes effect.
 */
function argumentsFor(target: string, kernelArgument: readonly string[]): string[] {
  const name = { '/': 'root=', '/usr': 'mount.usr=' }[target];
  const word = name === undefined ? undefined : kernelArgument.findLast((each) => each.startsWith(name));
  return word === undefined ? [] : [word.slice(word.indexOf('=') + 1).replace(/^block:/, '')];
}

/** The disk's own file system at a target: below an overlay of the boot, its lower layer. */
function mountOf({ mounts, layers }: Pick<Facts, 'mounts' | 'layers'>, target: string): Mount | undefined {
  const mount = mounts.serving(target);
  if (mount?.target !== target) return undefined;
  if (mount.type !== 'overlay') return mount;
  const lower = layers.find((layer) => layer.target === target)?.lower ?? '';
  const below = mounts.serving(lower);
  return below?.target === lower ? below : undefined;
}

interface Devices {
  devices: readonly BlockDevice[];
  carriers: Carriers;
}

type Found = Omit<ForeignMount, 'target'>;

function impostorsAt(mount: Mount | undefined, requested: readonly string[], all: Devices): Found[] {
  // tmpfs, a network file system, an automount point: these have no device that could be an impostor.
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

/** A Btrfs has a device number of its own. Its source is one of its devices, and it may have more. */
function mountedDevices({ device, type, source }: Mount, devices: readonly BlockDevice[]): BlockDevice[] {
  if (type !== 'btrfs') return devices.filter((each) => each.device === device);
  const found = devices.find(({ file, name }) => [file, `/dev/${name}`].includes(source));
  if (found === undefined) throw new Error(`the device of the Btrfs from ${source} is not known`);
  return [found, ...devices.filter(({ name }) => name !== found.name && found.members.includes(name))];
}

/** The requested device is on a sealed disk, and another one is mounted. */
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

/** A copy of a physical volume, a LUKS header or an array's member is below the mount. */
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

/** The volume group below the mount is another one than the sealed volume group of the same name. */
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
