import { deviceFile } from './block.ts';

/**
 * A name that a device carries in its own content, "UUID=1f5a…" (libblkid calls it a tag). A label is written as udev
 * names its links: what is not plain is \xNN. DM= is the name of a device-mapper device.
 */
export type Tag = string;

const names = ['UUID', 'PARTUUID', 'PTUUID', 'LABEL', 'PARTLABEL'] as const;

/** The properties of udev's database that hold them (systemd, src/udev/udev-builtin-blkid.c). */
const properties: Record<(typeof names)[number], string> = {
  UUID: 'ID_FS_UUID',
  PARTUUID: 'ID_PART_ENTRY_UUID',
  PTUUID: 'ID_PART_TABLE_UUID',
  LABEL: 'ID_FS_LABEL_ENC',
  PARTLABEL: 'ID_PART_ENTRY_NAME',
};

/**
 * The tags of a device, those that name it best first.
 * @param record what udev's database has of the device
 */
export function tagsOf(record: ReadonlyMap<string, string>): Tag[] {
  // udev gives a partition the table's UUID of its disk.
  const isPartition = record.has('ID_PART_ENTRY_NUMBER');
  return names.flatMap((name) => {
    const value = record.get(properties[name]) ?? '';
    return isNothing(value) || (isPartition && name === 'PTUUID') ? [] : [`${name}=${value}`];
  });
}

/** A disk that was never given an identifier has zeros ("00000000-01" as its partition's). */
function isNothing(value: string): boolean {
  return /^[0-]*$/.test(value.replace(/^0{8}-\d\d$/, ''));
}

/**
 * What a source in fstab(5) or root= asks for; undefined where it names a device in another way.
 * @param source "UUID=…", /dev/disk/by-uuid/…, /dev/mapper/…, /dev/VG/LV
 */
export function tagOfSource(source: string): Tag | undefined {
  return tagOfFile(deviceFile(source));
}

/**
 * What a device file asks for, by udev's links; undefined where it names a device in another way.
 * @param file a path; undefined for what is no device
 */
export function tagOfFile(file: string | undefined): Tag | undefined {
  const [, kind = '', value = ''] =
    /^\/dev\/(?:disk|immutafs)\/by-(uuid|label|partuuid|partlabel)\/(.+)$/.exec(file ?? '') ?? [];
  if (kind !== '') return `${kind.toUpperCase()}=${value}`;
  const [, mapped] = /^\/dev\/mapper\/([^/]+)$/.exec(file ?? '') ?? [];
  return mapped === undefined ? undefined : `DM=${mapped}`;
}

/** Whether an administrator chose it, so that two devices may have it by chance. */
export function isLabel(tag: Tag): boolean {
  return /^(PART)?LABEL=/.test(tag);
}

/** To compare tags by: UUIDs are written in small and in capital letters. */
export function tagKey(tag: Tag): string {
  return isLabel(tag) || tag.startsWith('DM=') ? tag : tag.toLowerCase();
}
