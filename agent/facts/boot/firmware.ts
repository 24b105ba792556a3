import type { SystemReader } from '../../system/reader.ts';
import type { Partition } from '../disks/block-devices.ts';
import { type MountTable, isWritable } from '../mounts/mountinfo.ts';

/** The settings of the UEFI firmware that affect the next boot. */
interface Firmware {
  /**
   * Access to the EFI variables. `writable` and `read-only`: efivarfs is mounted in this way. `unmounted`: efivarfs
   * is not mounted, but root can mount it. `hidden`: another file system covers efivarfs; the initramfs mounts a tmpfs
   * over it if SystemdOptions is set (boot/initramfs/early-mounts.ts).
   */
  variables: 'writable' | 'read-only' | 'unmounted' | 'hidden';
  /** undefined if the variable SecureBoot cannot be read. */
  secureBoot: boolean | undefined;
  /** Names of the variables that are set and affect how systemd or systemd-boot boots. */
  set: string[];
  /** The entry of BootNext, then the active entries of BootOrder: the order in which the firmware tries them. */
  entries: BootEntry[];
}

interface BootEntry {
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
  return {
    variables: isWritable(mount) ? 'writable' : 'read-only',
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

/**
 * Returns the data of an EFI variable: the content of its file in efivarfs without the four leading bytes, which hold
 * the attributes (Documentation/filesystems/efivarfs.rst).
 * @throws Error if the file has fewer than four bytes
 */
export function variableData(file: string): Buffer {
  const bytes = Buffer.from(file, 'latin1');
  if (bytes.length < 4) throw new Error(`an EFI variable of ${bytes.length} bytes has no attributes`);
  return bytes.subarray(4);
}

/**
 * Parses BootOrder or BootNext and returns the number of each entry, such as "0001".
 * @throws Error for an odd length
 */
export function parseBootOrder(data: Buffer): string[] {
  if (data.length % 2 !== 0) throw new Error(`the EFI boot order has an odd length: ${data.length} bytes`);
  return Array.from({ length: data.length / 2 }, (_, index) =>
    data
      .readUInt16LE(index * 2)
      .toString(16)
      .toUpperCase()
      .padStart(4, '0'),
  );
}

/**
 * Parses a boot entry of the firmware, a variable Boot#### (UEFI 2.10, 3.1.3, EFI_LOAD_OPTION): attributes (4 bytes),
 * length of the device path (2 bytes), description (null-terminated UTF-16), device path.
 * @throws Error for a truncated variable
 */
export function parseLoadOption(data: Buffer) {
  if (data.length < 8) throw new Error(`an EFI boot entry is too short: ${data.length} bytes`);
  const pathBytes = data.readUInt16LE(4);
  let end = 6;
  while (end + 2 <= data.length && data.readUInt16LE(end) !== 0) end += 2;
  if (end + 2 > data.length) throw new Error('an EFI boot entry has an unterminated description');
  const path = data.subarray(end + 2, end + 2 + pathBytes);
  if (path.length < pathBytes) throw new Error('an EFI boot entry has a truncated device path');
  return {
    /** LOAD_OPTION_ACTIVE: the firmware tries the entry automatically. */
    active: (data.readUInt32LE(0) & 1) !== 0,
    description: data.toString('utf16le', 6, end),
    /**
     * The partition of the first HD() node in the device path. undefined if there is no such node, because the entry
     * names a network card, a whole disk or a program in flash memory.
     */
    partition: partitionOf(path),
  };
}

/** A device path node begins with type, subtype and length (UEFI 2.10, 10.3). HD() has type 4 and subtype 1. */
function partitionOf(path: Buffer): string | undefined {
  for (let offset = 0; offset + 4 <= path.length;) {
    const [type, subtype, length] = [path[offset], path[offset + 1], path.readUInt16LE(offset + 2)];
    if (type === 0x7f && subtype === 0xff) return undefined;
    if (length < 4) throw new Error(`a node of an EFI device path is too short: ${length} bytes`);
    if (type === 4 && subtype === 1) return hardDrive(path.subarray(offset, offset + length));
    offset += length;
  }
  return undefined;
}

/**
 * Formats the partition of an HD() node (UEFI 2.10, 10.3.5.1) as udev formats ID_PART_ENTRY_UUID: a GUID, or the MBR
 * signature followed by the partition number.
 */
function hardDrive(node: Buffer): string | undefined {
  if (node.length < 42)
    throw new Error(`an HD() node of an EFI device path is too short: ${node.length} bytes`);
  const signature = node.subarray(24, 40);
  if (node[41] === 2) return formatGuid(signature);
  if (node[41] !== 1) return undefined;
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  return `${hex(signature.readUInt32LE(0), 8)}-${hex(node.readUInt32LE(4), 2)}`;
}

/** Formats an EFI_GUID, whose first three groups are little-endian. */
function formatGuid(bytes: Buffer): string {
  const hex = (part: Buffer) => part.toString('hex');
  const reversed = (from: number, to: number) => hex(Buffer.from(bytes.subarray(from, to)).reverse());
  return [
    ...[reversed(0, 4), reversed(4, 6), reversed(6, 8)],
    ...[hex(bytes.subarray(8, 10)), hex(bytes.subarray(10, 16))],
  ].join('-');
}
