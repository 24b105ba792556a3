/**
 * The device file that a source names: "UUID=…" -> /dev/disk/by-uuid/…, a link of udev. dracut/fstab.sh does the same.
 * @param source as in /proc/swaps or on a command line, or in fstab(5) without its octal escapes
 * @returns undefined for a source that is no device: an NFS export, "tmpfs"
 */
export function deviceFile(source: string): string | undefined {
  return deviceFileOfBytes(Buffer.from(source).toString('latin1'));
}

/** As deviceFile. @param source one character a byte; it need not be UTF-8 */
export function deviceFileOfBytes(source: string): string | undefined {
  const [, tag, value = ''] = /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)$/s.exec(source) ?? [];
  const file = tag === undefined ? source : `/dev/disk/by-${tag.toLowerCase()}/${encode(unquote(value))}`;
  return file.startsWith('/dev/') ? Buffer.from(file, 'latin1').toString('utf8') : undefined;
}

/** systemd, which waits for the device, removes quotes only (src/shared/fstab-util.c, fstab_node_to_udev_node()). */
function unquote(value: string): string {
  return /^(["'])(.*)\1$/s.exec(value)?.[2] ?? value;
}

/**
 * udev's encoding in names of links: \xNN for each byte that is neither a plain character nor part of a UTF-8 character
 * (libblkid, blkid_encode_string()).
 */
function encode(value: string): string {
  return value.replace(encoded, (character, plain: string | undefined) =>
    plain === undefined ? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}` : character,
  );
}

/** Either plain characters, which are the group, or one byte of another kind (RFC 3629, section 4). */
const encoded = new RegExp(
  `((?:${[
    String.raw`[\w#+\-.:=@]`,
    String.raw`[\xc2-\xdf][\x80-\xbf]`,
    String.raw`\xe0[\xa0-\xbf][\x80-\xbf]`,
    String.raw`[\xe1-\xec\xee\xef][\x80-\xbf]{2}`,
    String.raw`\xed[\x80-\x9f][\x80-\xbf]`,
    String.raw`\xf0[\x90-\xbf][\x80-\xbf]{2}`,
    String.raw`[\xf1-\xf3][\x80-\xbf]{3}`,
    String.raw`\xf4[\x80-\x8f][\x80-\xbf]{2}`,
  ].join('|')})+)|[^]`,
  'g',
);
