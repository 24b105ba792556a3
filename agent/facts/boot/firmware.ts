import type { SystemReader } from '../../system/reader.ts';
import type { Partition } from '../disks/partitions.ts';
import type { MountTable } from '../mounts/mountinfo.ts';
import { parseBootOrder, parseLoadOption, variableData } from './efi-variables.ts';

/** The settings of the UEFI firmware for the next boot. */
export interface Firmware {
  /**
   * Access to its variables. `writable`, `read-only`: through the mounted efivarfs. `unmounted`: root could mount it.
   * `hidden`: by the initramfs, since SystemdOptions is set (dracut/efi.sh).
   */
  variables: 'writable' | 'read-only' | 'unmounted' | 'hidden';
  /** undefined if it cannot be read. */
  secureBoot: boolean | undefined;
  /** The variables that are set and change how systemd or systemd-boot boots. */
  set: string[];
  /** Active entries in the order in which the firmware tries them, BootNext first. */
  entries: BootEntry[];
}

export interface BootEntry {
  /** Boot0001 */
  name: string;
  description: string;
  /** BootNext names it, for the next boot only. */
  next: boolean;
  /** The partitions with the GUID that it names; empty if it names none or none exists. */
  partitions: Partition[];
}

export const efivars = '/sys/firmware/efi/efivars';
const global = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
const systemd = '8cf2644b-4b0b-428f-9387-6d876050dc67';
const loader = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';

/** systemd 246 to 257, systemd 254 and later, and systemd-boot (systemd-boot(7)). */
const bootVariables = [
  `SystemdOptions-${systemd}`,
  `HibernateLocation-${systemd}`,
  ...['LoaderEntryOneShot', 'LoaderEntryDefault', 'LoaderConfigTimeout', 'LoaderConfigTimeoutOneShot'].map(
    (name) => `${name}-${loader}`,
  ),
];

/** Further boot entries are not read: each read calls the firmware. */
const maximumEntries = 32;
const maximumBytes = 4096;

/** undefined if a BIOS started this guest. @throws HostError; Error for a malformed variable */
export function findFirmware(
  reader: SystemReader,
  mounts: MountTable,
  partitions: readonly Partition[],
): Firmware | undefined {
  if (reader.stat('/sys/firmware/efi') === undefined) return undefined;
  const mount = mounts.all.findLast(({ target }) => target === efivars);
  if (mount?.type !== 'efivarfs') {
    const variables = mount === undefined ? 'unmounted' : 'hidden';
    return { variables, secureBoot: undefined, set: [], entries: [] };
  }
  const names = new Set(reader.list(efivars));
  const isWritable = mount.options.includes('rw') && !mount.superOptions.includes('ro');
  return {
    variables: isWritable ? 'writable' : 'read-only',
    secureBoot: readSecureBoot(reader),
    set: bootVariables.filter((name) => names.has(name)).map((name) => name.replace(/-.*$/, '')),
    entries: findEntries(reader, partitions),
  };
}

/** undefined if the variable cannot be read. */
export function readSecureBoot(reader: SystemReader): boolean | undefined {
  const data = readVariable(reader, `SecureBoot-${global}`);
  return data === undefined ? undefined : data[0] === 1;
}

function findEntries(reader: SystemReader, partitions: readonly Partition[]): BootEntry[] {
  const order = (name: string) =>
    parseBootOrder(readVariable(reader, `${name}-${global}`) ?? Buffer.alloc(0));
  const next = order('BootNext');
  return [...next, ...order('BootOrder')].slice(0, maximumEntries).flatMap((number, index) => {
    const data = readVariable(reader, `Boot${number}-${global}`);
    if (data === undefined) return [];
    const { active, description, partition } = parseLoadOption(data);
    const isNext = index < next.length;
    if (!active && !isNext) return [];
    const found = partitions.filter(({ id }) => id !== '' && id === partition);
    return [{ name: `Boot${number}`, description, next: isNext, partitions: found }];
  });
}

/** undefined if it is not set. */
function readVariable(reader: SystemReader, name: string): Buffer | undefined {
  const file = reader.readIfPresent(`${efivars}/${name}`, maximumBytes);
  return file === undefined ? undefined : variableData(file);
}
