import type { BlockDevice } from '../../disks/block-devices.ts';
import type { MountTable } from '../../mounts/mountinfo.ts';

/**
 * Returns the devices ("major:minor") of the file systems of which the host made every disk read-only. A Btrfs has a
 * device number of its own, which mountinfo and /proc/PID/maps have in common; the source of its mount names one of its
 * disks.
 */
export function findSealedDevices(mounts: MountTable, devices: readonly BlockDevice[]): ReadonlySet<string> {
  const sealed = devices.filter(({ hostReadOnly }) => hostReadOnly === true);
  const names = new Set(sealed.map(({ name }) => name));
  const isSealed = (source: string) =>
    sealed.some(
      ({ name, file, members }) =>
        [file, `/dev/${name}`].includes(source) && members.every((member) => names.has(member)),
    );
  const btrfs = mounts.all.filter(({ type, source }) => type === 'btrfs' && isSealed(source));
  return new Set([...sealed.map(({ device }) => device), ...btrfs.map(({ device }) => device)]);
}
