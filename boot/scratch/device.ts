import { bootKeys, itemOptions, words } from '../../agent/config/boot-keys.ts';
import { scratchDeviceRecord, scratchDisk } from '../../agent/facts/boot/kept-paths.ts';
import { errorCode, hasCode, onFile, unless, unlessSystemError } from '../../agent/lib/errors.ts';
import { baseName } from '../../agent/lib/paths.ts';
import { namesIfThere } from '../../agent/system/names.ts';
import { bootState, mountAt } from '../guest/boot-state.ts';
import { uptime } from '../guest/command.ts';
import { disksOfDevice } from '../guest/disks.ts';
import { type Guest, withMountsOfNow } from '../guest/guest.ts';
import { makeDirectories, reopen, using } from '../native/directories.ts';
import { endedOf, firstLine, runProgram } from '../native/programs.ts';
import { isBlock } from '../native/reader.ts';
import { refusalOf, refuse, type Refusal } from '../native/refusal.ts';
import { findRoot, sharesDisk } from '../persist/store.ts';
import {
  type Owner,
  type ScratchDevice,
  checkMark,
  discard,
  erase,
  findContent,
  markOf,
  newCrypt,
  otherData,
  withExclusive,
  writeMark,
} from './mark.ts';

/**
 * Limits in seconds: of opening the device and making the file system, which take a few seconds; of each step of `close`; and of the
 * waits for udev, which takes longer to process all devices than systemd waits for this one if the host is overloaded. Together,
 * they are smaller than TimeoutStartSec= of immutafs-scratch-device.service, for a command that does not end because the disk does
 * not answer.
 */
const openSeconds = 60;
const closeSeconds = 10;
const udevSeconds = 180;

const mappingName = 'immutafs-scratch';
const mappingUuid = 'CRYPT-PLAIN-immutafs-scratch';
const mappingFile = `/dev/mapper/${mappingName}`;

// --- which device ------------------------------------------------------------------------------------------------

/** Returns the UUID that the host gives the guest; without one, the machine ID (machine-id(5)). @throws Refused */
function findMachine({ reader }: Guest): string {
  for (const file of ['/sys/class/dmi/id/product_uuid', '/etc/machine-id']) {
    const [line = ''] = (unlessSystemError(() => reader.readIfPresent(file)) ?? '').split('\n');
    const name = line.trim();
    // No ID: the host gave the guest no UUID, or the image is not configured (machine-id(5)).
    if (name === 'uninitialized' || !/^[0-9A-Za-z-]+$/.test(name) || !/[^0-]/.test(name)) continue;
    // Kernels before 4.9 and later ones differ in the case of the UUID.
    return name.toLowerCase();
  }
  return refuse(
    'the guest has no UUID from the host and no machine ID',
    'Give the guest a UUID (libvirt: <uuid>).',
  );
}

/** Opens the device of a link in /dev/disk/by-id, and checks that it is a disk of the host or a partition of one. @throws Refused */
function openDevice({ native, reader }: Guest, link: string): ScratchDevice {
  if (link === '')
    refuse(
      'SCRATCH_DEVICE is empty',
      'Attach a disk, and mark it while the system disk is writable: `immutafs-agent prepare --apply --only scratch --scratch-device /dev/vdX`.',
    );
  if (!bootKeys.SCRATCH_DEVICE.good(link))
    refuse(
      `${link} does not identify a disk by its serial number or WWN`,
      'Name a link in /dev/disk/by-id that begins with virtio-, scsi-, wwn- or nvme-. If there is none, give the disk a serial number (libvirt: <serial>).',
    );
  const file = openLink(native, link);
  const [number = ''] = native.block(file).split(' ');
  const name = baseName(unlessSystemError(() => reader.resolve(`/sys/dev/block/${number}`)) ?? number);
  const node = `/dev/${name}`;
  if (!/^(?:vd|sd|nvme)/.test(name)) notOfHost(link, node);
  return { file, node, number };
}

function notOfHost(link: string, node: string): never {
  return refuse(
    `${link} (${node}) is not a disk of the host or a partition of one`,
    'Name such a disk or partition.',
  );
}

function openLink(native: Guest['native'], link: string): number {
  try {
    return native.openBlock(link, false, false);
  } catch (error) {
    if (hasCode('ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ENODEV')(error))
      return refuse(`${link} does not exist`, 'Attach the disk, with this serial number.');
    if (errorCode(error) === 'ENOTBLK') return notOfHost(link, native.resolve(link));
    throw error;
  }
}

/**
 * Refuses a device that something uses, or that is on a disk that no boot may write to. Opening it exclusively verifies the same,
 * but only this function can say what uses the device.
 */
function checkUnused(guest: Guest, { node, number }: ScratchDevice, link: string): void {
  const { reader } = guest;
  const name = baseName(node);
  const directory = `/sys/class/block/${name}`;
  const [user] = namesIfThere(reader, `${directory}/holders`);
  if (user !== undefined)
    refuse(`${node} is in use by ${user}`, `Name another device, or remove ${node} from ${user}.`);
  const isPartition = (each: string) =>
    each.startsWith(name) && reader.stat(`${directory}/${each}/partition`) !== undefined;
  if (namesIfThere(reader, directory).some(isPartition))
    refuse(`${node} has partitions`, 'Name one of them, or another device.');
  const disks =
    unlessSystemError(() => disksOfDevice(reader, directory).disks) ??
    refuse(
      `the disks under ${link} are unknown`,
      'See the journal of this boot for the error of immutafs-boot.',
    );
  const root = findRoot(guest).disks;
  for (const disk of disks) {
    if (disk.readOnly)
      refuse(`${node} is on the read-only disk ${disk.name}`, 'Have the host leave this disk writable.');
    if (sharesDisk([disk], root)) refuse(`${node} is on the disk of /`, 'Name a device on another disk.');
  }
  if (guest.mounts.some(({ device }) => device === number))
    refuse(`${node} is mounted`, 'Name another device, or unmount it.');
}

/** A device that a boot may format if it has the mark of its owner. */
interface Candidate {
  device: ScratchDevice;
  owner: Owner;
}

/** @param found receives the device as soon as it is known @throws Refused */
function findDevice(
  guest: Guest,
  link: string,
  found: (device: ScratchDevice) => void = () => undefined,
): Candidate {
  const device = openDevice(guest, link);
  found(device);
  checkUnused(guest, device, link);
  return { device, owner: { machine: findMachine(guest), link } };
}

/** Checks whether a boot may format the device. @throws Refused */
export function checkDevice(guest: Guest, link: string): void {
  const { device, owner } = findDevice(guest, link);
  withExclusive(guest.native, device, false, (open) => checkMark(open, owner));
}

// --- marking -----------------------------------------------------------------------------------------------------

/**
 * Marks a device for this guest, unless it is marked already.
 * @param wipe whether to mark it also if it has content, which is then lost
 * @param writes whether to write to the device; otherwise only checks what marking would check
 * @throws Refused
 */
export function markDevice(guest: Guest, link: string, wipe: boolean, writes: boolean): void {
  const { device, owner } = findDevice(guest, link);
  withExclusive(guest.native, device, writes, (open) => {
    if (refusalOf(() => checkMark(open, owner)) === undefined) return;
    const content = findContent(open);
    if (content !== -1 && !wipe)
      refuse(
        `${device.node} ${otherData(content)}`,
        'If its content is not needed, add --wipe with the same device, which erases it.',
      );
    const mark = markOf(open, owner);
    if (!writes) return;
    if (content !== -1) erase(open);
    writeMark(open, mark);
  });
}

/** Removes the mark of this guest, so that no boot formats the device. @throws Refused */
export function unmarkDevice(guest: Guest, link: string): void {
  const { device, owner } = findDevice(guest, link);
  withExclusive(guest.native, device, true, (open) => {
    checkMark(open, owner);
    erase(open);
  });
}

// --- the record --------------------------------------------------------------------------------------------------

/** What a boot has recorded about SCRATCH_DEVICE. */
export interface DeviceRecord extends Refusal {
  state: string;
  /** The number of the device that was opened, which the agent compares with that below the mapping; empty if none was. */
  device: string;
}

export function readDeviceRecord({ reader }: Guest): DeviceRecord {
  const text = unlessSystemError(() => reader.readIfPresent(scratchDeviceRecord)) ?? '';
  const lines = text.split('\n');
  const value = (key: string) =>
    lines.find((line) => line.startsWith(`${key}=`))?.slice(key.length + 1) ?? '';
  return { state: value('STATE'), reason: value('REASON'), remedy: value('REMEDY'), device: value('DEVICE') };
}

function recordDevice({ native }: Guest, { state, reason, remedy, device }: DeviceRecord): void {
  const text = [`STATE=${state}`, `REASON=${reason}`, `REMEDY=${remedy}`, `DEVICE=${device}`];
  makeDirectories(native, '/run/immutafs');
  onFile(scratchDeviceRecord, () =>
    native.write(scratchDeviceRecord, text.map((line) => `${line.replaceAll('\n', ' ')}\n`).join('')),
  );
}

// --- opening -----------------------------------------------------------------------------------------------------

/** Opens SCRATCH_DEVICE with a new key, makes a file system and mounts it. @returns whether it is mounted */
export function openScratch(guest: Guest): boolean {
  const { native } = guest;
  // A soft reboot keeps it and its record, as it keeps the content of /var.
  if (mountAt(guest.mounts, scratchDisk) !== undefined) return true;
  const record: DeviceRecord = { state: 'begun', reason: '', remedy: '', device: '' };
  recordDevice(guest, record);
  const spent: string[] = [];
  const failed = refusalOf(() => openNow(guest, record, spent));
  if (failed === undefined) {
    native.print(2, `immutafs: opened SCRATCH_DEVICE: ${spent.join(', ')}\n`);
    recordDevice(guest, { ...record, state: 'ready' });
    return true;
  }
  // A failure of it does not replace the first reason.
  refusalOf(() => closeScratch(guest));
  recordDevice(guest, { ...record, ...{ state: 'failed', reason: failed.reason, remedy: failed.remedy } });
  native.print(2, `immutafs: SCRATCH_DEVICE is not used: ${failed.reason}. ${failed.remedy}\n`);
  return false;
}

/** @param spent receives how long each step took */
function openNow(guest: Guest, record: DeviceRecord, spent: string[]): void {
  const { mode } = bootState(guest.reader, guest.mounts, guest.config);
  if (mode !== 'sealed') refuse(`this boot is not sealed (${mode})`, 'Seal the guest.');
  const udevEnd = uptime(guest.reader) + udevSeconds;
  awaitDevice(guest);
  const candidate = findDevice(guest, guest.config.SCRATCH_DEVICE, ({ number }) => {
    record.device = number;
  });
  const { node } = candidate.device;
  let end = uptime(guest.reader) + openSeconds;
  // Runs a step, which returns whether it ended in time.
  const step = (name: string, action: (seconds: number) => boolean) => {
    const began = uptime(guest.reader);
    const inTime = end > began && action(end - began);
    if (end > began) spent.push(`${name} ${uptime(guest.reader) - began} s`);
    if (!inTime)
      refuse(
        `${node} is too slow: ${openSeconds} s were not enough (${spent.join(', ')})`,
        'Use a faster disk.',
      );
  };
  let mapping = '';
  step('dm-crypt', () => {
    mapping = makeMapping(guest, candidate);
    return true;
  });
  const began = uptime(guest.reader);
  const file = awaitMapping(guest, mapping, udevEnd);
  // The limit does not include the wait for udev.
  end += uptime(guest.reader) - began;
  step('mkfs.ext4', (seconds) => makeFileSystem(guest, file, seconds));
  step('mount', () => mountScratch(guest, mapping));
}

/**
 * Waits for the device until udev has processed all devices. A disk that is not attached does not delay the boot any further.
 * udevadm(8) asks udevd itself, so events that udevd has not received yet count.
 */
function awaitDevice({ native, reader, config: { SCRATCH_DEVICE: link } }: Guest): void {
  if (!link.startsWith('/dev/') || isBlock(unlessSystemError(() => reader.status(link)))) return;
  const options = [`--timeout=${udevSeconds}`, `--exit-if-exists=${link}`];
  runProgram(native, udevSeconds, 'udevadm', 'settle', ...options);
}

/**
 * Encrypts the device with a key that exists only in this process and in the kernel, if the device has the mark. In a process of its
 * own, because the disk or the kernel's random number generator may not answer.
 * @returns the number of the mapping
 */
function makeMapping({ native }: Guest, { device, owner }: Candidate): string {
  const answer = () => {
    let number = '';
    const failed = refusalOf(() => {
      // dm-crypt writes to the device, which it opens exclusively itself.
      const { parameters, sectors } = withExclusive(native, device, true, (open) => {
        checkMark(open, owner);
        return newCrypt(open);
      });
      number = onFile('device-mapper', () =>
        native.createMapping(mappingName, mappingUuid, 'crypt', parameters, sectors),
      );
    });
    return failed === undefined ? number : `${failed.reason}\n${failed.remedy}`;
  };
  const { code, output: text } = endedOf(native.apart(openSeconds, answer));
  if (code === 0 && /^\d+:\d+$/.test(text)) return text;
  const { node } = device;
  if (code === 124)
    refuse(
      `${node} has no key after ${openSeconds} s: it does not answer, or the kernel has no random numbers yet`,
      'See dmesg, and give the guest a random number generator (libvirt: <rng>).',
    );
  const [reason = '', remedy] = text.split('\n');
  return code === 0 && remedy !== undefined
    ? refuse(reason, remedy)
    : refuse(`${node} could not be examined`, 'See dmesg.');
}

/**
 * Waits until udev has made the link of the mapping, so that systemd knows the device of the mount.
 * @returns the mapping, open
 */
function awaitMapping(guest: Guest, mapping: string, end: number): number {
  const { native } = guest;
  for (;;) {
    const file = openMapping(native);
    if (file !== undefined) {
      if (native.block(file).startsWith(`${mapping} `)) return file;
      native.close(file);
    }
    if (uptime(guest.reader) >= end)
      refuse(`udev did not make ${mappingFile}`, 'See the journal of systemd-udevd.');
    native.sleep(20);
  }
}

function openMapping(native: Guest['native']): number | undefined {
  try {
    return native.openBlock(mappingFile, false, false);
  } catch (error) {
    if (errorCode(error) === '') throw error;
    return undefined;
  }
}

/**
 * Makes the file system on the mapping that is open. Writes as little as possible, because all of it is encrypted: no journal,
 * which only a later boot would read, and no inode tables (noinit_itable). The log of an XFS has 64 MiB, which take seconds without
 * AES instructions. Blocks are not discarded now, because that can take long and cannot be interrupted on old kernels.
 * @returns whether it ended in time
 */
function makeFileSystem({ native }: Guest, file: number, seconds: number): boolean {
  native.pass(file);
  const options = ['-q', '-F', '-m', '0', '-O', '^has_journal', '-E', 'nodiscard,lazy_itable_init=1'];
  const ended = runProgram(native, seconds, 'mkfs.ext4', ...options, `/proc/self/fd/${file}`);
  native.close(file);
  if (ended.code === 127) refuse('mkfs.ext4 is not installed', 'Install e2fsprogs.');
  if (ended.code !== 0 && ended.code !== 124) refuse(`mkfs.ext4 failed: ${firstLine(ended)}`, 'See dmesg.');
  return ended.code === 0;
}

/** MS_NOSUID | MS_NODEV | MS_NOATIME, and MS_NOEXEC (mount(2)) */
const [mountFlags, noexec] = [2 | 4 | 1024, 8];

function mountScratch(guest: Guest, mapping: string): boolean {
  const { native, config } = guest;
  // On the first kernels with overlayfs, a file of an overlay has the options of the mount of its layer.
  const isExecutable = words(config.SCRATCH).some((item) => itemOptions(item).includes('exec'));
  const flags = mountFlags | (isExecutable ? 0 : noexec);
  makeDirectories(native, scratchDisk, 0o700);
  using(native, reopen(native, scratchDisk), (directory) =>
    onFile('mount failed', () => native.mountAt(directory, mappingFile, 'ext4', flags, 'noinit_itable')),
  );
  if (mountAt(withMountsOfNow(guest).mounts, scratchDisk)?.device !== mapping)
    refuse(`${mappingFile} was replaced while it was mounted`, 'See dmesg.');
  return true;
}

// --- closing -----------------------------------------------------------------------------------------------------

/**
 * Unmounts the file system, and removes the mapping and with it the key, without which the content cannot be read.
 * @throws Refused
 */
export function closeScratch(guest: Guest): void {
  const { native } = guest;
  if (mountAt(withMountsOfNow(guest).mounts, scratchDisk) !== undefined)
    whileBusy(
      () => native.unmount(scratchDisk),
      () => refuse(`${scratchDisk} cannot be unmounted`, 'End the programs that use it.'),
    );
  if (!hasMapping(native)) return;
  const end = uptime(guest.reader) + closeSeconds;
  whileBusy(
    () => native.removeMapping(mappingUuid),
    () => {
      // udev examines a device after every write, for a moment.
      if (uptime(guest.reader) >= end) refuse(`${mappingName} cannot be removed`, 'See dmesg.');
      native.sleep(100);
    },
  );
}

/** Runs an action until the kernel does not return EBUSY. @param wait runs after each EBUSY */
function whileBusy(action: () => void, wait: () => void): void {
  for (;;) {
    try {
      action();
      return;
    } catch (error) {
      if (errorCode(error) !== 'EBUSY') throw error;
      wait();
    }
  }
}

/** Without device-mapper in the kernel, there is no mapping. */
function hasMapping(native: Guest['native']): boolean {
  const found = unless(hasCode('ENOENT', 'ENODEV', 'ENXIO'), () => native.mapping(mappingUuid));
  return found !== undefined;
}

/**
 * Closes the device at the end of a sealed boot, and gives its space back to the host. Only for the device that this boot has opened,
 * and only if it has its mark and nothing uses it. The time limit of the service ends the program between two requests; the next
 * boot discards the rest.
 * @throws Refused
 */
export function discardScratch(guest: Guest): void {
  const opened = readDeviceRecord(guest);
  if (opened.state !== 'ready') refuse('this boot has not opened it', `See ${scratchDeviceRecord}.`);
  closeScratch(guest);
  const { device, owner } = findDevice(withMountsOfNow(guest), guest.config.SCRATCH_DEVICE);
  if (device.number !== opened.device)
    refuse(
      `${device.node} is not the device that this boot has opened (${opened.device})`,
      `See ${scratchDeviceRecord}.`,
    );
  withExclusive(guest.native, device, true, (open) => {
    checkMark(open, owner);
    discard(open);
  });
}
