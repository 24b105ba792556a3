/** The identities of devices, for the agent and for the boot. */

/**
 * An identity of a device, such as "UUID=1f5a…", which libblkid reads from the content of the device and calls a tag.
 * Labels are encoded with \xNN, as in udev links. "DM=…" is the name of a device-mapper device.
 */
export type Tag = string;

const names = ['UUID', 'PARTUUID', 'PTUUID', 'LABEL', 'PARTLABEL'] as const;

/** Maps each tag to the property in udev's database (systemd, src/udev/udev-builtin-blkid.c). */
const properties: Record<(typeof names)[number], string> = {
  UUID: 'ID_FS_UUID',
  PARTUUID: 'ID_PART_ENTRY_UUID',
  PTUUID: 'ID_PART_TABLE_UUID',
  LABEL: 'ID_FS_LABEL_ENC',
  PARTLABEL: 'ID_PART_ENTRY_NAME',
};

/**
 * Returns the tags of a device, the most specific tag first.
 * @param record the properties of the device in udev's database
 */
export function tagsOf(record: ReadonlyMap<string, string>): Tag[] {
  // udev also records the UUID of the disk's partition table for each partition.
  const isPartition = record.has('ID_PART_ENTRY_NUMBER');
  return names.flatMap((name) => {
    const value = record.get(properties[name]) ?? '';
    return isUnset(value) || (isPartition && name === 'PTUUID') ? [] : [`${name}=${value}`];
  });
}

/** Whether a value is empty or a disk has no identifier, which gives only zeros ("00000000-01" for a partition). */
function isUnset(value: string): boolean {
  return /^[0-]*$/.test(value.replace(/^0{8}-\d\d$/, ''));
}

/**
 * Returns the tag in the path of a udev link or device-mapper device; undefined for any other path.
 * @param file undefined for a source that is not a device
 */
export function tagOfFile(file: string | undefined): Tag | undefined {
  const [, kind = '', value = ''] =
    /^\/dev\/(?:disk|block\/immutafs)\/by-(uuid|label|partuuid|partlabel)\/(.+)$/.exec(file ?? '') ?? [];
  if (kind !== '') return `${kind.toUpperCase()}=${value}`;
  const [, mapped] = /^\/dev\/mapper\/([^/]+)$/.exec(file ?? '') ?? [];
  return mapped === undefined ? undefined : `DM=${mapped}`;
}

/** Whether a tag is a label. An administrator chooses labels, so two devices may have the same label by coincidence. */
export function isLabel(tag: Tag): boolean {
  return /^(PART)?LABEL=/.test(tag);
}

/** Returns a key for the comparison of tags, in which UUIDs are in lower case. */
export function tagKey(tag: Tag): string {
  return isLabel(tag) || tag.startsWith('DM=') ? tag : tag.toLowerCase();
}
