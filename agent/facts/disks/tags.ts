import { deviceFile } from './device-file.ts';

/**
 * An identity in the content of a device, "UUID=1f5a…" (libblkid calls it a tag). A label is encoded as in the links of
 * udev, with \xNN. DM= is the name of a device-mapper device.
 */
export type Tag = string;

const names = ['UUID', 'PARTUUID', 'PTUUID', 'LABEL', 'PARTLABEL'] as const;

/** The corresponding properties in udev's database (systemd, src/udev/udev-builtin-blkid.c). */
const properties: Record<(typeof names)[number], string> = {
  UUID: 'ID_FS_UUID',
  PARTUUID: 'ID_PART_ENTRY_UUID',
  PTUUID: 'ID_PART_TABLE_UUID',
  LABEL: 'ID_FS_LABEL_ENC',
  PARTLABEL: 'ID_PART_ENTRY_NAME',
};

/**
 * The tags of a device, the most specific first.
 * @param record its properties in udev's database
 */
export function tagsOf(record: ReadonlyMap<string, string>): Tag[] {
  // In udev's database a partition has the partition table's UUID of its disk.
  const isPartition = record.has('ID_PART_ENTRY_NUMBER');
  return names.flatMap((name) => {
    const value = record.get(properties[name]) ?? '';
    return isUnset(value) || (isPartition && name === 'PTUUID') ? [] : [`${name}=${value}`];
  });
}

/** Without an identifier, the value consists of zeros ("00000000-01" for a partition of such a disk). */
function isUnset(value: string): boolean {
  return /^[0-]*$/.test(value.replace(/^0{8}-\d\d$/, ''));
}

/**
 * The tag in a source of fstab(5) or root=; undefined if the source names a device in another way.
 * @param source "UUID=…", /dev/disk/by-uuid/…, /dev/mapper/…, /dev/VG/LV
 */
export function tagOfSource(source: string): Tag | undefined {
  return tagOfFile(deviceFile(source));
}

/**
 * The tag in the path of a link of udev; undefined for another path.
 * @param file undefined for a source that is no device
 */
export function tagOfFile(file: string | undefined): Tag | undefined {
  const [, kind = '', value = ''] =
    /^\/dev\/(?:disk|immutafs)\/by-(uuid|label|partuuid|partlabel)\/(.+)$/.exec(file ?? '') ?? [];
  if (kind !== '') return `${kind.toUpperCase()}=${value}`;
  const [, mapped] = /^\/dev\/mapper\/([^/]+)$/.exec(file ?? '') ?? [];
  return mapped === undefined ? undefined : `DM=${mapped}`;
}

/** Whether an administrator chooses the value, so that two devices may have the same one by chance. */
export function isLabel(tag: Tag): boolean {
  return /^(PART)?LABEL=/.test(tag);
}

/** A key to compare tags: the case of letters in UUIDs does not matter. */
export function tagKey(tag: Tag): string {
  return isLabel(tag) || tag.startsWith('DM=') ? tag : tag.toLowerCase();
}
