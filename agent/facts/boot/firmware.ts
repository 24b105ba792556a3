import type { SystemReader } from '../../system/reader.ts';
import type { Partition } from '../disks/partitions.ts';
import type { MountTable } from '../mounts/mountinfo.ts';
import { parseBootOrder, parseLoadOption, variableData } from './efi-variables.ts';

/** The settings of the UEFI firmware that affect the next boot. */
export interface Firmware {
  /**
   * Access to the EFI variables. `writable` and `read-only`: efivarfs is mounted in this way. `unmounted`: efivarfs
   * is not mounted, but root can mount it. `hidden`: another file system covers efivarfs; the initramfs mounts a tmpfs
   * over it if SystemdOptions is set (dracut/efi.sh).
   */
  variables: 'writable' | 'read-only' | 'unmounted' | 'hidden';
  /** undefined if the variable SecureBoot cannot be read. */
  secureBoot: boolean | undefined;
  /** Names of the variables that are set and affect how systemd or systemd-boot boots. */
  set: string[];
  /** The entry of BootNext, then the active entries of BootOrder: the order in which the firmware tries them. */
  entries: BootEntry[];
}

export interface BootEntry {
  /** Boot0001 */
  name: string;
  description: string;
  /** Whether BootNext selects this entry, which applies to the next boot only. */
  next: boolean;
  /** The partitions whose GUID the entry contains; empty if the entry contains no GUID or no such partition exists. */
  partitions: Partition[];
}

export const efivars = '/sys/firmware/efi/efivars';
const global = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
const systemd = '8cf2644b-4b0b-428f-9387-6d876050dc67';
const loader = '4a67b082-0a4c-41cf-b6c7-440b29bb8c4f';

/**
 * systemd 246 to 257 reads SystemdOptions, systemd 254 and later reads HibernateLocation, and systemd-boot reads the
 * others (systemd-boot(7)).
 */
const bootVariables = [
  `SystemdOptions-${systemd}`,
  `HibernateLocation-${systemd}`,
  ...['LoaderEntryOneShot', 'LoaderEntryDefault', 'LoaderConfigTimeout', 'LoaderConfigTimeoutOneShot'].map(
    (name) => `${name}-${loader}`,
  ),
];

/** Limit for the boot entries to read, because each read calls the firmware. */
const maximumEntries = 32;
const maximumBytes = 4096;

/**
 * Reads the settings of the firmware; returns undefined if a BIOS started this guest.
 * @throws SystemError; Error for a malformed variable
 */
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

/** Whether Secure Boot is enabled; undefined if efivarfs has no variable SecureBoot. */
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

/** Returns the data of an EFI variable; undefined if the variable is not set. */
function readVariable(reader: SystemReader, name: string): Buffer | undefined {
  const file = reader.readIfPresent(`${efivars}/${name}`, maximumBytes);
  return file === undefined ? undefined : variableData(file);
}
