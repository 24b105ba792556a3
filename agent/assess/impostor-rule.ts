/**
 * The rule about impostors, for the boot (boot/identity/) and for the agent (impostors.ts). The boot knows the devices
 * from links that udev makes, and the agent from udev's database.
 */

/** A device, as the rule sees it. */
export interface Candidate {
  /** The kernel name. */
  name: string;
  /** Whether the host made every disk below the device read-only; null if that is unknown (`Evidence`). */
  hostReadOnly: boolean | null;
  /** The serial numbers of these disks. The boot does not compare them. */
  serials: readonly string[];
}

/** The kernel names of a device and of every device below it. */
type Stack = Pick<{ stack: readonly string[] }, 'stack'>;

/**
 * Returns the genuine devices of which `device` is an impostor: the best sealed devices with the same identity, if
 * their disks are better sealed than the disks of `device`. Omits devices that share the identity with `device` by
 * design.
 * @param carriers the devices with this identity
 * @param stacks the devices that may be above both
 */
export function genuineOf<Device extends Candidate>(
  carriers: readonly Device[],
  device: Candidate,
  stacks: readonly Stack[],
): Device[] {
  return bestSealed(carriers).filter(
    (genuine) => sealing(genuine) > sealing(device) && !belongTogether(genuine, device, stacks),
  );
}

/** Returns the devices with the strongest evidence that their disks are read-only; empty if all disks are writable. */
export function bestSealed<Device extends Candidate>(carriers: readonly Device[]): Device[] {
  const best = Math.max(0, ...carriers.map(sealing));
  return best === 0 ? [] : carriers.filter((each) => sealing(each) === best);
}

/**
 * 2: the device reports that the host made it read-only; 1: read-only, but not known whether by the host; 0: otherwise.
 */
function sealing({ hostReadOnly }: Candidate): number {
  return hostReadOnly === true ? 2 : hostReadOnly === null ? 1 : 0;
}

/**
 * Whether two devices share an identity by design, because they are members of the same array or volume, one is above
 * the other, or both are on paths to the same disk. `host-enforced` reports a writable path to a sealed disk.
 */
function belongTogether(one: Candidate, other: Candidate, stacks: readonly Stack[]): boolean {
  if (haveSameDisk(one, other)) return true;
  return stacks.some(({ stack }) => stack.includes(one.name) && stack.includes(other.name));
}

/** Whether two devices are on paths to the same disk. */
export function haveSameDisk(one: Candidate | undefined, other: Candidate | undefined): boolean {
  return one?.serials.some((serial) => other?.serials.includes(serial)) ?? false;
}

/** A physical volume, and its volume group according to metadata. UUIDs in one notation; empty if unknown. */
export interface PhysicalVolume {
  uuid: string;
  groupUuid: string;
  group: string;
}

/**
 * Returns the name of the sealed volume group as a part of which a physical volume poses: the group of the volume has the name or
 * the UUID of the sealed group, and the metadata on the sealed disks does not list the volume as a member.
 * @param sealed the members of the groups according to the metadata on the sealed disks; missing members are included
 * @returns undefined if the volume does not pose as a member
 */
export function posesAsMember(
  sealed: readonly PhysicalVolume[],
  { uuid, groupUuid, group }: PhysicalVolume,
): string | undefined {
  if (sealed.some((member) => member.uuid === uuid)) return undefined;
  const same = sealed.findLast(
    (member) => member.group !== '' && (member.groupUuid === groupUuid || member.group === group),
  );
  return same?.group;
}
