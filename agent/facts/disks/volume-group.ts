import type { SystemReader } from '../../system/reader.ts';

export interface VolumeGroup {
  name: string;
  /** 32 characters, without hyphens. */
  uuid: string;
  /** The UUIDs of the physical volumes, if the metadata was read. */
  members?: string[];
}

/**
 * Returns the volume group of an active logical volume; undefined if the device is not a logical volume.
 * @param name DM_VG_NAME in udev's database
 * @param dmUuid content of /sys/block/NAME/dm/uuid: "LVM-", followed by the UUIDs of the volume group and of the
 *     logical volume (lvm2, lib/activate/dev_manager.c)
 */
export function volumeGroupOfLv(name: string, dmUuid: string): VolumeGroup | undefined {
  const [, uuid] = /^LVM-(\w{32})\w{32}/.exec(dmUuid) ?? [];
  return name === '' || uuid === undefined ? undefined : { name, uuid };
}

const sector = 512;

/**
 * Reads the volume group from the metadata of a physical volume; undefined if the metadata is malformed or the agent
 * may not read the device.
 * @param file device file of the physical volume: /dev/vda2
 */
export function readVolumeGroup(reader: SystemReader, file: string): VolumeGroup | undefined {
  try {
    const kind = reader.stat(file)?.kind;
    if (kind !== 'other' && kind !== 'file') return undefined;
    return parseVolumeGroup((offset, bytes) => reader.readAt(file, offset, bytes));
  } catch {
    return undefined;
  }
}

/**
 * Parses the metadata of a physical volume. The label, in one of the first four sectors, contains the offsets of the
 * metadata areas. The header of a metadata area contains the offset and the size of the current metadata text, which begins
 * with `NAME {` and `id = "…"`. Integers are little-endian (lvm2, lib/label/label.h, lib/format_text/layout.h).
 * @param read returns bytes from an offset as Latin-1, one character per byte; fewer bytes at the end of the device
 */
export function parseVolumeGroup(read: (offset: number, bytes: number) => string): VolumeGroup | undefined {
  const head = Buffer.from(read(0, 4 * sector), 'latin1');
  for (let label = 0; label + sector <= head.length; label += sector) {
    if (head.toString('latin1', label, label + 8) !== 'LABELONE') continue;
    const area = metadataArea(head.subarray(label, label + sector));
    if (area !== undefined) return parseMetadata(metadataText(read, area));
  }
  return undefined;
}

interface Extent {
  offset: number;
  bytes: number;
}

/** Returns the first metadata area: the first extent of the second list after the header of the physical volume. */
function metadataArea(label: Buffer): Extent | undefined {
  const header = label.readUInt32LE(20);
  // The lists follow the UUID and the size of the physical volume.
  for (let at = header + 40, lists = 0; at + 16 <= label.length; at += 16) {
    const extent = extentAt(label, at);
    if (extent.offset !== 0 && lists === 1) return extent;
    if (extent.offset === 0) lists += 1;
  }
  return undefined;
}

function metadataText(read: (offset: number, bytes: number) => string, area: Extent): string {
  const header = Buffer.from(read(area.offset, sector), 'latin1');
  if (header.length < sector || header.toString('latin1', 4, 20) !== ' LVM2 x[5A%r0N*>') return '';
  const { offset, bytes } = extentAt(header, 40);
  const size = Math.min(bytes, longest);
  // After its header, the metadata area is a ring buffer.
  const inArea = Math.max(0, Math.min(size, area.bytes - offset));
  const text = read(area.offset + offset, inArea);
  return size > inArea ? text + read(area.offset + sector, size - inArea) : text;
}

/** Upper bound on the part of a metadata text that is read, in bytes. The physical volumes come first. */
const longest = 256 * 1024;

function extentAt(buffer: Buffer, at: number): Extent {
  return { offset: Number(buffer.readBigUInt64LE(at)), bytes: Number(buffer.readBigUInt64LE(at + 8)) };
}

function parseMetadata(text: string): VolumeGroup | undefined {
  const [, name, id] = /^([\w.+-]+) \{\s+id = "([\w-]{38})"/.exec(text) ?? [];
  const uuid = id?.replaceAll('-', '') ?? '';
  if (name === undefined || uuid.length !== 32) return undefined;
  const [, volumes = ''] = /\nphysical_volumes \{\n(.*?\n\}\n)\}\n/s.exec(text) ?? [];
  const members = Array.from(volumes.matchAll(/^pv\d+ \{\nid = "([\w-]{38})"$/gm), ([, each = '']) => each);
  return members.length === 0 ? { name, uuid } : { name, uuid, members };
}
