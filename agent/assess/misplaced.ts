import { words } from '../config/config.ts';
import type { BlockDevice } from '../facts/disks/block-devices.ts';
import type { Facts } from '../facts/facts.ts';
import type { FstabEntry } from '../facts/mounts/fstab-devices.ts';
import { bestSealed, carriersByTag, genuineOf } from './impostors.ts';
import { layersOf } from './layers.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import { type Tag, tagKey, tagOfSource } from '../facts/disks/tags.ts';

/** A mount of an impostor, where a disk that the host made read-only has what was asked for. */
export interface Misplaced {
  target: string;
  /** The device that is mounted, or the one below it that is the impostor. */
  device: string;
  sealedDevice: string;
  identity: string;
}

type Known = Pick<Facts, 'blockDevices' | 'mounts' | 'fstab' | 'kernelArgument' | 'config' | 'bootEnv'>;

/**
 * Of /, the targets of fstab and those of REQUIRE_READONLY, the mounts that come from an impostor. udev's links are not
 * looked at: they point to whichever device came last.
 * @throws HostError where the devices, the mounts or fstab could not be looked at; Error for a Btrfs of which the device
 *     is not known
 */
export function findMisplaced(facts: Known): Misplaced[] {
  const devices = unwrap(facts.blockDevices);
  const lines = Map.groupBy(unwrap(facts.fstab).lines.filter(isMount), ({ target }) => target);
  const targets = new Set(['/', ...words(facts.config.REQUIRE_READONLY), ...lines.keys()]);
  const all = { devices, byTag: carriersByTag(devices) };
  return [...targets].flatMap((target) => {
    const sources = (lines.get(target) ?? []).map(({ source }) => source);
    const asked = [...argumentsFor(target, facts.kernelArgument), ...sources];
    const [first] = misplacedAt(mountOf(facts, target), asked, all);
    return first === undefined ? [] : [{ target, ...first }];
  });
}

function isMount({ target, type }: FstabEntry): boolean {
  return target.startsWith('/') && type !== 'swap';
}

/** root= (dracut.cmdline(7)) and mount.usr= (systemd-fstab-generator(8)); of several the last counts. */
function argumentsFor(target: string, kernelArgument: readonly string[]): string[] {
  const name = { '/': 'root=', '/usr': 'mount.usr=' }[target];
  const word = name === undefined ? undefined : kernelArgument.findLast((each) => each.startsWith(name));
  return word === undefined ? [] : [word.slice(word.indexOf('=') + 1).replace(/^block:/, '')];
}

/** Where /var or a mount below it has a layer, the disk's own file system is the lower one. */
function mountOf({ mounts, bootEnv }: Pick<Facts, 'mounts' | 'bootEnv'>, target: string): Mount | undefined {
  const mount = mounts.serving(target);
  if (mount?.target !== target) return undefined;
  if (mount.type !== 'overlay') return mount;
  const layers = layersOf('value' in bootEnv ? bootEnv.value : undefined);
  const lower = layers.find((layer) => layer.target === target)?.lower ?? '';
  const below = mounts.serving(lower);
  return below?.target === lower ? below : undefined;
}

interface Devices {
  devices: readonly BlockDevice[];
  byTag: ReadonlyMap<string, readonly BlockDevice[]>;
}

type Found = Omit<Misplaced, 'target'>;

function misplacedAt(mount: Mount | undefined, asked: readonly string[], all: Devices): Found[] {
  // In memory, on a server, an automount point: there is no device that could be an impostor.
  if (mount === undefined || (mount.device.startsWith('0:') && mount.type !== 'btrfs')) return [];
  const mounted = mountedDevices(mount, all.devices);
  const stack = new Set(mounted.flatMap((device) => device.stack));
  const below = all.devices.filter(({ name }) => stack.has(name));
  const file = mounted[0]?.file ?? mount.source;
  return [
    ...asked.flatMap((source) => notAsAsked(tagOfSource(source), file, stack, all)),
    ...below.flatMap((device) => posing(device, stack, all)),
    ...below.flatMap((device) => inAnotherGroup(device, stack, all)),
  ];
}

/** A Btrfs has a number of its own, names one of its devices as its source, and may have more. */
function mountedDevices({ device, type, source }: Mount, devices: readonly BlockDevice[]): BlockDevice[] {
  if (type !== 'btrfs') return devices.filter((each) => each.device === device);
  const found = devices.find(({ file, name }) => [file, `/dev/${name}`].includes(source));
  if (found === undefined) throw new Error(`the device of the Btrfs from ${source} is not known`);
  return [found, ...devices.filter(({ name }) => name !== found.name && found.members.includes(name))];
}

/** What was asked for is on a sealed disk, and nothing of it is mounted. */
function notAsAsked(
  tag: Tag | undefined,
  file: string,
  stack: ReadonlySet<string>,
  { byTag }: Devices,
): Found[] {
  const sealed = tag === undefined ? [] : bestSealed(byTag.get(tagKey(tag)) ?? []);
  const [first] = sealed;
  if (tag === undefined || first === undefined || sealed.some(({ name }) => stack.has(name))) return [];
  return [{ device: file, sealedDevice: first.file, identity: tag }];
}

/** A copy of a physical volume, a LUKS header or an array's member, below what is mounted. */
function posing(device: BlockDevice, stack: ReadonlySet<string>, { devices, byTag }: Devices): Found[] {
  const uuids = device.tags.filter((tag) => tag.startsWith('UUID='));
  return uuids.flatMap((tag) => {
    const genuine = genuineOf(byTag.get(tagKey(tag)) ?? [], device, devices);
    const [first] = genuine.filter(({ name }) => !stack.has(name));
    return first === undefined ? [] : [{ device: device.file, sealedDevice: first.file, identity: tag }];
  });
}

/** A volume group of the name that a sealed one has, and another group. */
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
