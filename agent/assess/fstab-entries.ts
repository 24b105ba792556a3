import { tagOfFile } from '../facts/disks/tags.ts';
import type { FstabEntry, LinkedFstabLine } from '../facts/mounts/fstab-devices.ts';
import { unwrap } from '../facts/observed.ts';
import { type Carriers, bestSealed, carriersOf } from './identities.ts';

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
