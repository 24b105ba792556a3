import { errorCode, errorMessage, hasCode } from '../../agent/lib/errors.ts';
import type { Native } from '../native/native.ts';
import { refuse } from '../native/refusal.ts';

/**
 * The mark of a device that every sealed boot may format (SCRATCH_DEVICE): the text
 * "immutafs-scratch 1\nmachine MACHINE\ndevice LINK\n" at the beginning of the device. All other bytes of the first and the last
 * MiB are 0, and what is between them belongs to dm-crypt. Partition tables, file systems, LVM, md, LUKS, bcache and ZFS all write
 * to the first or the last MiB. A device that another program has used since it was marked therefore has no valid mark.
 * ansible/plugins/module_utils/scratch_mark.py writes the same mark; the tests give the marks of test/fixtures/scratch-marks.json
 * to both.
 */
const title = 'immutafs-scratch ';
const markBytes = 4096;

const mebibyte = 1024 * 1024;
const sector = 512;
/** mkfs.ext4(8) makes a useful file system from this size on. */
const smallest = 64 * mebibyte;
const samples = 64;
/** Between two of them, a signal ends the program. */
const discardBytes = 256 * mebibyte;

/** A device that was identified. */
export interface ScratchDevice {
  /** Open, but not exclusively, so that its number remains that of this device. */
  file: number;
  /** The device file, for messages. */
  node: string;
  /** "major:minor" */
  number: string;
}

/** What the mark of a device says. */
export interface Owner {
  machine: string;
  link: string;
}

/** A device that is open exclusively. */
export interface OpenDevice {
  native: Native;
  device: ScratchDevice;
  file: number;
  bytes: number;
}

/**
 * Opens an identified device exclusively for an action: the kernel refuses this if the device, or a partition of it, is mounted, is
 * swap, or is part of another device.
 * @throws Refused
 */
export function withExclusive<T>(
  native: Native,
  device: ScratchDevice,
  writable: boolean,
  action: (open: OpenDevice) => T,
): T {
  const file = openExclusively(native, device, writable);
  try {
    const [, bytes = '', readOnly = ''] = onDevice(device, () => native.block(file)).split(' ');
    if (readOnly !== '0') unusable(device, 'is read-only');
    const size = Number(bytes);
    if (size < smallest)
      unusable(device, `is too small: it has ${Math.floor(size / mebibyte)} MiB, and 64 MiB are needed`);
    return action({ native, device, file, bytes: size });
  } finally {
    native.close(file);
  }
}

const openErrors: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENXIO: 'does not exist',
  ENODEV: 'does not exist',
  EBUSY: 'is in use: it, or a partition of it, is mounted, is swap, or is part of another device',
  EROFS: 'is read-only',
  EACCES: 'is read-only',
  EPERM: 'is read-only',
};

function openExclusively(native: Native, device: ScratchDevice, writable: boolean): number {
  try {
    return native.openBlock(`/proc/self/fd/${device.file}`, writable, true);
  } catch (error) {
    return unusable(device, openErrors[errorCode(error)] ?? `cannot be opened: ${errorMessage(error)}`);
  }
}

/** Runs an action on the device. @throws Refused if it fails */
function onDevice<T>(device: ScratchDevice, action: () => T, what = 'cannot be read'): T {
  try {
    return action();
  } catch (error) {
    if (errorCode(error) === '') throw error;
    return unusable(device, `${what}: ${errorMessage(error)}`);
  }
}

/** @param text a predicate whose subject is the device */
function unusable({ node }: ScratchDevice, text: string): never {
  const markIt = `immutafs-agent prepare --apply --only scratch --scratch-device ${node}`;
  const markAgain = `If its content is not needed, mark it while the system disk is writable: \`${markIt} --wipe ${node}\`.`;
  const remedies: readonly (readonly [RegExp, string])[] = [
    [/^has no mark/, `Mark it while the system disk is writable: \`${markIt}\`.`],
    [/^is marked for another machine|^has the mark of another device/, markAgain],
    [/^has other data|^has a damaged mark/, `Another program has written to it. ${markAgain}`],
    [/^does not support discard/, "Have the host attach the disk with discard='unmap'."],
  ];
  const [, remedy] = remedies.find(([pattern]) => pattern.test(text)) ?? [];
  return refuse(`${node} ${text}`, remedy ?? 'Name another device, or see dmesg.');
}

// --- content -----------------------------------------------------------------------------------------------------

/** Returns the position of the first byte that is not 0; -1 if there is none. */
function contentIn({ native, device, file }: OpenDevice, from: number, to: number): number {
  return onDevice(device, () => native.contentIn(file, from, to));
}

/** Returns where a device has content: in its first or last MiB, or in samples between. -1 if there is none. */
export function findContent(open: OpenDevice): number {
  const last = open.bytes - mebibyte;
  for (let sample = 0; sample <= samples; sample++) {
    const position = sample === samples ? last : Math.floor(last / samples) * sample;
    const from = position - (position % sector);
    const found = contentIn(open, from, from + mebibyte);
    if (found !== -1) return found;
  }
  return -1;
}

/** @throws Refused if a part of the device has content */
function checkBlank(open: OpenDevice, from: number, to: number): void {
  const found = contentIn(open, from, to);
  if (found !== -1) unusable(open.device, otherData(found));
}

export function otherData(position: number): string {
  return `has other data: byte ${position}`;
}

function write(open: OpenDevice, from: number, text: string, size: number): void {
  onDevice(open.device, () => open.native.writeBlock(open.file, from, text, size), 'cannot be written');
}

/** Writes zeros to the first and the last MiB. */
export function erase(open: OpenDevice): void {
  write(open, 0, '', mebibyte);
  write(open, open.bytes - mebibyte, '', mebibyte);
}

// --- the mark ----------------------------------------------------------------------------------------------------

/** A name that contains a control character could pose as another line of the mark. */
function checkNames(open: OpenDevice, { machine, link }: Owner): void {
  for (const name of [machine, link]) {
    const what = 'the name of the machine or of the device';
    if (name === '') unusable(open.device, `cannot be used: ${what} is empty`);
    if (!/^[!-~]+$/.test(name))
      unusable(open.device, `cannot be used: ${what} has other characters than ASCII`);
  }
}

/** Returns the mark of a device. @throws Refused if the names cannot be in one */
export function markOf(open: OpenDevice, owner: Owner): string {
  checkNames(open, owner);
  const mark = `${title}1\nmachine ${owner.machine}\ndevice ${owner.link}\n`;
  if (mark.length > markBytes)
    unusable(open.device, 'cannot be marked: the names of the machine and the device are too long');
  return mark;
}

/** Marks a device whose first and last MiB are blank. @throws Refused */
export function writeMark(open: OpenDevice, mark: string): void {
  checkBlank(open, 0, mebibyte);
  checkBlank(open, open.bytes - mebibyte, open.bytes);
  write(open, 0, mark, markBytes);
}

/** Verifies that a device has the mark, and nothing else beside it. @throws Refused */
export function checkMark(open: OpenDevice, owner: Owner): void {
  checkNames(open, owner);
  const { device } = open;
  const text = onDevice(device, () => open.native.readBlock(open.file, 0, markBytes));
  if (!text.startsWith(title))
    unusable(
      device,
      contentIn(open, 0, mebibyte) === -1 ? 'has no mark' : 'has no mark, and contains other data',
    );
  let length = title.length;
  const checkLine = (key: string, wanted: string, reason: string) => {
    if (!text.startsWith(key, length)) unusable(device, 'has a mark that this version does not know');
    const [line = '', value = ''] = /^([!-~]*)\n/.exec(text.slice(length + key.length)) ?? [];
    if (line === '') unusable(device, 'has a damaged mark');
    if (value !== wanted) unusable(device, `${reason}: ${value}`);
    length += key.length + line.length;
  };
  checkLine('1\nmachine ', owner.machine, 'is marked for another machine');
  checkLine('device ', owner.link, 'has the mark of another device');
  checkBlank(open, length, mebibyte);
  checkBlank(open, open.bytes - mebibyte, open.bytes);
}

// --- what a marked device is used for ----------------------------------------------------------------------------

/** Gives everything between the first and the last MiB back to the host. */
export function discard({ native, device, file, bytes }: OpenDevice): void {
  const end = bytes - mebibyte;
  for (let from = mebibyte; from < end; from += discardBytes) {
    try {
      native.discardBlock(file, from, Math.min(discardBytes, end - from));
    } catch (error) {
      if (errorCode(error) === '') throw error;
      unusable(
        device,
        hasCode('EOPNOTSUPP', 'ENOTSUP')(error)
          ? 'does not support discard'
          : `cannot be discarded: ${errorMessage(error)}`,
      );
    }
  }
}

/** aes-xts-plain64 with two keys of 256 bits. */
const keyBytes = 64;

/** Returns the parameters of dm-crypt with a new random key for what is between the first and the last MiB, and its sectors. */
export function newCrypt({ native, device, bytes }: OpenDevice): { parameters: string; sectors: number } {
  const random = onDevice(device, () => native.random(keyBytes), 'cannot be encrypted');
  const key = Array.from(random, (byte) => byte.charCodeAt(0).toString(16).padStart(2, '0')).join('');
  return {
    parameters: `aes-xts-plain64 ${key} 0 ${device.number} ${mebibyte / sector} 1 allow_discards`,
    sectors: Math.floor((bytes - 2 * mebibyte) / sector),
  };
}
