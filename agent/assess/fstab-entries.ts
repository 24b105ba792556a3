import type { NamedDevice } from '../facts/disks/named-device.ts';
import { tagOfFile } from '../facts/disks/tags.ts';
import type { FstabEntry, LinkedFstabLine } from '../facts/mounts/fstab-devices.ts';
import { unwrap } from '../facts/observed.ts';
import { type Carriers, bestSealed, carriersOf } from './identities.ts';

/**
 * Determines the device of each line of fstab. If a device on a sealed disk has the requested identity, this device is
 * used, because the udev link may point to an impostor. Otherwise, the target of the udev link is used.
 * @throws HostError if the device of a line cannot be read
 */
export function describeEntries(lines: readonly LinkedFstabLine[], carriers: Carriers): FstabEntry[] {
  return lines.map(({ linked, ...line }) => ({
    ...line,
    ...(sealedDevice(carriers, line.node) ?? unwrap(linked)),
  }));
}

function sealedDevice(carriers: Carriers, file: string | undefined): NamedDevice | undefined {
  const same = carriersOf(carriers, tagOfFile(file));
  const [genuine] = bestSealed(same);
  if (genuine === undefined) return undefined;
  const copies = same.filter((each) => each !== genuine).map(({ device }) => device);
  return { device: genuine.device, missing: false, disks: genuine.disks, copies };
}
