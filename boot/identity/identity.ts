/**
 * Checks that the mounted system comes from the disk that the host made read-only, if such a disk has the same identity. This
 * happens before any file of the mounted root is read, because an attacker controls the files of an impostor.
 */
import { genuineOf } from '../../agent/assess/impostor-rule.ts';
import type { Impostor } from '../../agent/facts/boot/boot-env.ts';
import { parseKernelArgument, splitKernelArguments } from '../../agent/facts/boot/kernel-arguments.ts';
import { type Tag, isLabel } from '../../agent/facts/disks/identities.ts';
import type { Mount } from '../../agent/facts/mounts/mount-lines.ts';
import { SystemError } from '../../agent/lib/errors.ts';
import { devicesOfMount, mountAt, readCommandLine, readMounts } from '../guest/boot-state.ts';
import type { Early } from '../guest/command.ts';
import { type Disks, isSealedDevice } from '../guest/disks.ts';
import { deviceLineOf, kernelName, readFstab, sourceFile } from '../guest/fstab.ts';
import { deviceAt, hasLinks, namesOf, readUdevData, settle } from '../guest/udev.ts';
import { stopForeignArrays } from './foreign-members.ts';
import {
  type SealedGroups,
  hasSealedVolumes,
  posesAsSealedGroup,
  sealedGroupsOnce,
  splitVolumeName,
} from './lvm.ts';
import { completeBySealed } from './members.ts';

/** Why the boot must not continue from what is mounted. */
export interface Ending {
  /** Where it is mounted. */
  target: string;
  /** The kernel name of the device. */
  mounted: string;
  why: string;
  remedy: string;
}

/** The sealed device as which a device poses, and the identity that both have. */
type Genuine = Pick<Impostor, 'sealedDevice' | 'identity'>;

interface Search extends Early {
  root: string;
  mounts: readonly Mount[];
  /** Whether udev has found all devices. */
  isSettled: boolean;
  sealedGroups: () => SealedGroups | undefined;
}

/** What root= and others request; the last value of an argument takes effect (bootparam(7)). */
export function rootArguments(commandLine: string) {
  const words = splitKernelArguments(commandLine);
  const value = (name: string) =>
    words.findLast((word) => word.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
  return {
    words,
    source: value('root'),
    options: value('rootflags'),
    type: value('rootfstype'),
    mode: parseKernelArgument(commandLine).mode,
  };
}

/** Returns why the boot must end; undefined if nothing is mounted from an impostor. @param root the mount point of the root */
export function checkIdentity(boot: Early, root: string): Ending | undefined {
  const { reader } = boot;
  const { words, source, mode } = rootArguments(readCommandLine(reader));
  if (mode === 'off') return undefined;
  // After this, udev's links are complete, for this program and for the generator in the real root.
  const isSettled = settle(boot, 180);
  const mounts = readMounts(reader);
  const search = { ...boot, root, mounts, isSettled, sealedGroups: sealedGroupsOnce(boot) };
  const top = devicesAt(search, root);
  if ('ending' in top) return top.ending;
  const isSealed = top.state === 'sealed';
  const ending = isSealed ? undefined : refusal(search, root, top, source);
  if (ending !== undefined) return ending;
  stopForeignArrays(boot, top.stack);
  return (isSealed ? undefined : otherThanRequested(search, top, words)) ?? checkBelow(search, isSealed);
}

/** Checks what is mounted below the root, such as /usr. */
function checkBelow(search: Search, isSealed: boolean): Ending | undefined {
  const { reader, root, mounts } = search;
  const targets = new Set(mounts.map(({ target }) => target).filter((each) => each.startsWith(`${root}/`)));
  for (const target of targets) {
    const devices = devicesAt(search, target);
    if ('ending' in devices) return devices.ending;
    if (devices.state === 'sealed') continue;
    const lines = isSealed ? readFstab(reader, `${root}/etc/fstab`) : [];
    const source = deviceLineOf(lines, target.slice(root.length))?.source ?? '';
    const ending = refusal(search, target, devices, source);
    if (ending !== undefined) return ending;
  }
  return undefined;
}

const none: Disks = { name: '', stack: [], disks: [], state: 'writable' };

/** Returns the devices under a mount. If they are unknown, and a disk is sealed, the boot ends. */
function devicesAt({ reader, mounts, native, root }: Search, target: string): Disks | { ending: Ending } {
  try {
    return devicesOfMount(reader, mountAt(mounts, target)) ?? none;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    native.print(2, `immutafs-boot: ${error.message}\n`);
    if (!hasSealedDevices(reader)) return none;
    return {
      ending: {
        target: targetIn(root, target),
        mounted: '',
        why: `whose disks are unknown (${error.message}): another disk may be the sealed one`,
        remedy: 'See dmesg.',
      },
    };
  }
}

function hasSealedDevices(reader: Early['reader']): boolean {
  return (['by-uuid', 'by-label', 'by-partuuid', 'by-partlabel'] as const).some(
    (kind) => namesOf(reader, kind).length > 0,
  );
}

/**
 * Returns why a mount must not be used: its device poses as a sealed device; or udev is still busy, and a sealed device may exist
 * that it has not found yet.
 * @param source what was requested, as in fstab; or empty
 */
function refusal(search: Search, target: string, devices: Disks, source: string): Ending | undefined {
  const genuine = originalOf(search, devices, source);
  const at = { target: targetIn(search.root, target), mounted: devices.name };
  if (genuine !== undefined) return posing(at, genuine);
  if (search.isSettled) return undefined;
  return {
    ...at,
    why: 'which the host did not make read-only, and udev was still busy after 180 s: whether the host made another disk with the same identity read-only is unknown',
    remedy: 'Reboot; if that does not help, detach the disk that does not answer.',
  };
}

function targetIn(root: string, target: string): string {
  return target.slice(root.length) || '/';
}

function posing(at: Pick<Ending, 'target' | 'mounted'>, { sealedDevice, identity }: Genuine): Ending {
  return {
    ...at,
    why: `which poses as ${sealedDevice} (${identity}): the host made ${sealedDevice} read-only, and the system must be mounted from it`,
    remedy: `Detach or erase the disk of /dev/${at.mounted || 'unknown'}.`,
  };
}

/** Returns the sealed device as which the devices of a mount pose; undefined if they do not. */
function originalOf(search: Search, { stack }: Disks, source: string): Genuine | undefined {
  const { reader } = search;
  if (!hasLinks(reader)) return undefined;
  if (source !== '') {
    const { file, sealedLink } = sourceFile(reader, source);
    const name = sealedLink === undefined ? undefined : kernelName(reader, file);
    if (name !== undefined && !isUsed(search, stack, name))
      return { sealedDevice: `/dev/${name}`, identity: source };
  }
  for (const part of stack) {
    const genuine = isSealedDevice(reader, part) ? undefined : counterpartOf(search, stack, part);
    if (genuine !== undefined) return genuine;
  }
  return undefined;
}

/**
 * Whether a device is part of the stack under a mount. If the mount has no device (an overlay that the initramfs mounted), every
 * mounted device counts as part of the stack.
 */
function isUsed({ reader, mounts }: Search, stack: readonly string[], name: string): boolean {
  if (stack.length > 0) return stack.includes(name);
  const number = reader.readIfPresent(`/sys/class/block/${name}/dev`)?.trim();
  return mounts.some(({ device }) => device === number);
}

/** Returns the sealed device as which a device that is not sealed poses; undefined if it does not. */
function counterpartOf(search: Search, stack: readonly string[], name: string): Genuine | undefined {
  const { reader } = search;
  const { type, uuid, tags } = readUdevData(reader, name);
  const device = { name, hostReadOnly: false, serials: [] };
  // A label counts only if it is requested.
  for (const tag of tags.filter((each) => !isLabel(each))) {
    const sealed = sealedWith(reader, tag, type).map((each) => ({
      ...device,
      name: each,
      hostReadOnly: true,
    }));
    // Only the members of an array share an identity with those beside them. A device over the sealed one, such as a snapshot
    // whose changes are on a writable disk, is an impostor.
    const genuine = genuineOf(sealed, device, type === 'linux_raid_member' ? [{ stack }] : []).at(-1);
    if (genuine !== undefined) return { sealedDevice: `/dev/${genuine.name}`, identity: tag };
  }
  const complete = type === 'linux_raid_member' ? completeBySealed(reader, uuid) : undefined;
  if (complete !== undefined) return { sealedDevice: complete, identity: `UUID=${uuid}` };
  return name.startsWith('dm-') ? posesAsSealedGroup(search, name, search.sealedGroups) : undefined;
}

/** Returns the sealed devices with an identity. The members of an array have the same one. @param type ID_FS_TYPE */
function sealedWith(reader: Early['reader'], tag: Tag, type: string): string[] {
  const [, kind, value = ''] = /^(UUID|PARTUUID)=([^]*)$/.exec(tag) ?? [];
  if (kind === undefined || value.includes('/')) return [];
  if (kind === 'UUID' && type === 'linux_raid_member') return namesOf(reader, `member/${value}`);
  const found = deviceAt(reader, kind === 'UUID' ? 'by-uuid' : 'by-partuuid', value);
  return found === undefined ? [] : [found];
}

// --- the kernel command line ---------------------------------------------------------------------------------------

/**
 * Returns why the boot must end if the kernel command line requests an encrypted device, array or volume group that is on a sealed
 * disk, and the root, which is not sealed, is not on a device of that kind.
 */
function otherThanRequested(search: Search, devices: Disks, words: readonly string[]): Ending | undefined {
  if (!hasLinks(search.reader)) return undefined;
  for (const word of words) {
    const genuine = requestedBy(search, devices.stack, word);
    if (genuine !== undefined) return posing({ target: '/', mounted: devices.name }, genuine);
  }
  return undefined;
}

function requestedBy(search: Search, stack: readonly string[], word: string): Genuine | undefined {
  const [, name = '', value = ''] = /^([^=]*)=([^]*)$/.exec(word) ?? [];
  if (name === 'rd.luks.uuid') return luks(search, stack, value);
  if (name === 'rd.md.uuid') return array(search, stack, value);
  if (name === 'rd.lvm.lv' && value.includes('/')) return group(search, stack, value.replace(/\/[^]*/, ''));
  if (name === 'rd.lvm.vg') return group(search, stack, value.replace(/\/[^]*/, ''));
  const [, mapped] = /^root=\/dev\/mapper\/([^]*-[^]*)$/.exec(word) ?? [];
  return mapped === undefined ? undefined : group(search, stack, splitVolumeName(mapped).group);
}

function hasType({ reader }: Search, stack: readonly string[], type: string): boolean {
  return stack.some((name) => readUdevData(reader, name).type === type);
}

/** @param value a UUID or its first characters, optionally after luks- (dracut.cmdline(7)) */
function luks(search: Search, stack: readonly string[], value: string): Genuine | undefined {
  const { reader } = search;
  const begin = value.replace(/^luks-/, '');
  const link = namesOf(reader, 'by-uuid').findLast((name) => name.startsWith(begin));
  const name = link === undefined ? undefined : deviceAt(reader, 'by-uuid', link);
  if (name === undefined || hasType(search, stack, 'crypto_LUKS')) return undefined;
  return { sealedDevice: `/dev/${name}`, identity: `LUKS=${value}` };
}

/** @param value a UUID, with hyphens and colons at any position */
function array(search: Search, stack: readonly string[], value: string): Genuine | undefined {
  const plain = (uuid: string) => uuid.replace(/[:-]/g, '');
  const { reader } = search;
  const name = namesOf(reader, 'md').findLast(
    (each) => plain(readUdevData(reader, each).uuid) === plain(value),
  );
  if (name === undefined || hasType(search, stack, 'linux_raid_member')) return undefined;
  return { sealedDevice: `/dev/${name}`, identity: `MD=${value}` };
}

function group(search: Search, stack: readonly string[], name: string): Genuine | undefined {
  if (name === '' || !hasSealedVolumes(search.reader) || hasType(search, stack, 'LVM2_member'))
    return undefined;
  const sealed = search.sealedGroups();
  const isSealed = sealed?.members.some((member) => member.group === name) === true;
  return isSealed ? { sealedDevice: sealed.file, identity: `VG=${name}` } : undefined;
}
