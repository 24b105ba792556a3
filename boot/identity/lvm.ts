import { type PhysicalVolume, posesAsMember } from '../../agent/assess/impostor-rule.ts';
import type { Impostor } from '../../agent/facts/boot/boot-env.ts';
import { unlessSystemError } from '../../agent/lib/errors.ts';
import { namesIfReadable } from '../../agent/system/names.ts';
import { type Early, programFile } from '../guest/command.ts';
import { isSealedDevice } from '../guest/disks.ts';
import { deviceAt, namesOf, readUdevData } from '../guest/udev.ts';
import type { BootReader } from '../native/reader.ts';

/** The volume groups on sealed physical volumes. */
export interface SealedGroups {
  /** One of the sealed physical volumes. */
  file: string;
  /** The members of the groups according to the metadata on the sealed volumes; missing members are included. UUIDs as LVM writes them. */
  members: PhysicalVolume[];
}

/** Whether any physical volume is on a disk that the host made read-only. */
export function hasSealedVolumes(reader: BootReader): boolean {
  return namesOf(reader, 'lvm').length > 0;
}

/** Returns the files of the physical volumes on disks that the host made read-only. */
function sealedFiles(reader: BootReader): string[] {
  return namesOf(reader, 'lvm').map((name) => `/dev/${name}`);
}

/** Reads the sealed groups; undefined if there are none. Runs lvm, which takes time. */
export function readSealedGroups(boot: Early): SealedGroups | undefined {
  const files = sealedFiles(boot.reader);
  const file = files.at(-1);
  return file === undefined ? undefined : { file, members: queryVolumes(boot, files) };
}

/** Returns a function that reads the sealed groups at its first call. */
export function sealedGroupsOnce(boot: Early): () => SealedGroups | undefined {
  let found: { groups: SealedGroups | undefined } | undefined;
  return () => (found ??= { groups: readSealedGroups(boot) }).groups;
}

/**
 * Activates the volumes of the sealed groups that are on sealed physical volumes alone, read-only. LVM reads no other physical
 * volume.
 */
export function activateSealedGroups(boot: Early): void {
  const { native, reader } = boot;
  const files = sealedFiles(reader);
  const groups = groupsOf(queryVolumes(boot, files));
  if (groups.length === 0) return;
  const list = groups.map((group) => `"${group}"`).join(', ');
  const config = `${readingOnly(files)} activation { activation_mode = "complete" read_only_volume_list = [ ${list} ] }`;
  native.run(
    programFile(reader, 'lvm') ?? '',
    ...['vgchange', '-ay', '--sysinit', '--config', config, ...groups],
  );
}

/** Returns the configuration with which lvm reads these device files and no others. It replaces all configured filters. */
function readingOnly(files: readonly string[]): string {
  const patterns = [...files.map((file) => `"a|^${file}$|"`), '"r|.*|"'].join(', ');
  return `devices { use_devicesfile = 0 filter = [ "a|.*|" ] global_filter = [ ${patterns} ] } global { use_lvmetad = 0 }`;
}

/** Asks lvm about physical volumes. @param files the device files that lvm reads; no others */
function queryVolumes({ native, reader }: Early, files: readonly string[]): PhysicalVolume[] {
  const program = programFile(reader, 'lvm');
  if (program === undefined) return [];
  const fields = 'pv_uuid,vg_uuid,vg_name';
  const words = ['--noheadings', '-o', fields, '--config', readingOnly(files)];
  // lvm fails if a member is missing, and prints the others.
  const output = native.output(program, 'pvs', ...words) ?? '';
  return output.split('\n').flatMap((line) => {
    const [uuid, groupUuid = '', group = ''] = line.split(/[ \t]+/).filter((word) => word !== '');
    return uuid === undefined ? [] : [{ uuid, groupUuid, group }];
  });
}

/**
 * Returns the identity that an impostor shares with a sealed physical volume or group: the volume has the UUID of a sealed one,
 * or poses as a member of its group. Undefined if the volume is no impostor.
 */
function identityOfImpostor(
  reader: BootReader,
  { members }: SealedGroups,
  volume: PhysicalVolume,
): string | undefined {
  if (deviceAt(reader, 'by-uuid', volume.uuid) !== undefined) return `UUID=${volume.uuid}`;
  const group = posesAsMember(members, volume);
  return group === undefined ? undefined : `VG=${group}`;
}

/** An impostor among the physical volumes that are not sealed. */
interface FoundImpostor extends Impostor {
  /** All links to its device. */
  links: readonly string[];
}

/**
 * Returns the kernel names of the physical volumes that are not sealed. LVM finds them by their labels alone; udev reports only the
 * other signature of a device that has one as well, such as that of BlueStore in front of the label.
 */
export function unsealedVolumes({ reader }: Pick<Early, 'reader'>): string[] {
  return [
    ...namesOf(reader, 'unsealed-lvm'),
    ...namesOf(reader, 'unsealed').filter((name) => uuidInLabel(reader, name) !== undefined),
  ];
}

/**
 * Returns the UUID in the label of a physical volume, which is in one of the first four sectors; undefined if there is none (lvm2,
 * lib/label/label.h and lib/format_text/layout.h).
 */
function uuidInLabel(reader: BootReader, name: string): string | undefined {
  const text = unlessSystemError(() => reader.readAt(`/dev/${name}`, 4 * 512)) ?? '';
  const label = [0, 1, 2, 3]
    .map((sector) => text.slice(sector * 512, (sector + 1) * 512))
    .find((each) => each.startsWith('LABELONE') && each.startsWith('LVM2 001', 24));
  if (label === undefined) return undefined;
  // The offset of the header has four bytes, and is less than a sector.
  const offset = label.charCodeAt(20) + 256 * label.charCodeAt(21);
  return withHyphens(label.slice(offset, offset + 32));
}

/** Finds the impostors among the physical volumes that are not sealed. */
export function findLvmImpostors(boot: Early): FoundImpostor[] {
  const { reader } = boot;
  const names = unsealedVolumes(boot);
  const sealed = names.length === 0 ? undefined : readSealedGroups(boot);
  if (sealed === undefined) return [];
  return names.flatMap((name) => {
    const data = readUdevData(reader, name);
    const [found] = queryVolumes(boot, [`/dev/${name}`]);
    const uuid = data.type === 'LVM2_member' ? data.uuid : (uuidInLabel(reader, name) ?? '');
    const volume = { uuid, groupUuid: found?.groupUuid ?? '', group: found?.group ?? '' };
    const identity = identityOfImpostor(reader, sealed, volume);
    if (identity === undefined) return [];
    const same = deviceAt(reader, 'by-uuid', uuid);
    const sealedDevice = same === undefined ? sealed.file : `/dev/${same}`;
    return [{ device: `/dev/${name}`, sealedDevice, identity, links: data.links }];
  });
}

/**
 * Whether the volume group of a logical volume has the name or UUID of a group on sealed physical volumes, and one of its
 * physical volumes is not a member of that group according to the sealed metadata.
 * @param name the kernel name of a device
 * @returns the sealed volume, and the identity that both have; undefined if it is none
 */
export function posesAsSealedGroup(
  { reader }: Early,
  name: string,
  sealedGroups: () => SealedGroups | undefined,
): Pick<Impostor, 'sealedDevice' | 'identity'> | undefined {
  const groupUuid = groupUuidOf(reader, name);
  if (groupUuid === undefined || !hasSealedVolumes(reader)) return undefined;
  const sealed = sealedGroups();
  const mapped = reader.readIfPresent(`/sys/class/block/${name}/dm/name`)?.trim();
  if (sealed === undefined || mapped === undefined) return undefined;
  const { group } = splitVolumeName(mapped);
  for (const volume of namesIfReadable(reader, `/sys/class/block/${name}/slaves`)) {
    if (groupUuidOf(reader, volume) !== undefined || isSealedDevice(reader, volume)) continue;
    const { type, uuid } = readUdevData(reader, volume);
    // LVM may find a label that udev does not report because of another signature. Such a volume is not a member.
    const own = { uuid: type === 'LVM2_member' ? uuid : '', groupUuid, group };
    const identity = identityOfImpostor(reader, sealed, own);
    if (identity !== undefined) return { sealedDevice: sealed.file, identity };
  }
  return undefined;
}

/**
 * Returns the UUID of the group of a logical volume, in the notation of LVM: the UUID in device-mapper is "LVM-" and the UUIDs
 * of the group and of the volume, without hyphens. Undefined for another device.
 */
function groupUuidOf(reader: BootReader, name: string): string | undefined {
  const uuid = reader.readIfPresent(`/sys/class/block/${name}/dm/uuid`) ?? '';
  if (!uuid.startsWith('LVM-')) return undefined;
  return withHyphens(uuid.slice(4, 36));
}

/** Returns a UUID in the notation of LVM. @param plain without hyphens */
function withHyphens(plain: string): string {
  return plain.replace(/^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6})$/s, '$1-$2-$3-$4-$5-$6-$7');
}

/**
 * Splits the name of a volume in device-mapper, in which the hyphens of both names are doubled (lvm2, dm_build_dm_name).
 */
export function splitVolumeName(name: string): { group: string; volume: string } {
  // No name has a slash.
  const marked = name.replaceAll('--', '/');
  const end = marked.indexOf('-');
  const plain = (part: string) => part.replaceAll('/', '-');
  return { group: plain(end < 0 ? marked : marked.slice(0, end)), volume: plain(marked.slice(end + 1)) };
}

/** Returns the groups of physical volumes, each once. */
function groupsOf(volumes: readonly PhysicalVolume[]): string[] {
  return [...new Set(volumes.map(({ group }) => group))].filter((group) => group !== '');
}

/** Returns the groups that must be activated read-only: those on a SCSI disk that is read-only. */
export function readOnlyGroups(boot: Early): string[] {
  const files = (['lvm', 'read-only-lvm'] as const)
    .flatMap((kind) => namesOf(boot.reader, kind))
    .filter((name) => name.startsWith('sd'))
    .map((name) => `/dev/${name}`);
  return files.length === 0 ? [] : groupsOf(queryVolumes(boot, files));
}
