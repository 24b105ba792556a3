/**
 * Converts a source to the path of a device file or of a udev link: "UUID=…" -> /dev/disk/by-uuid/…. boot/fstab.sh
 * does the same.
 * @param source from /proc/swaps, from a command line, or from fstab(5) with the octal escapes decoded
 * @returns undefined for a source that is not a device, such as an NFS export or "tmpfs"
 */
export function deviceFile(source: string): string | undefined {
  return deviceFileOfBytes(Buffer.from(source).toString('latin1'));
}

/** Same as deviceFile, for a source that need not be valid UTF-8. @param source Latin-1: one character per byte */
export function deviceFileOfBytes(source: string): string | undefined {
  const [, tag, value = ''] = /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)$/s.exec(source) ?? [];
  const file = tag === undefined ? source : `/dev/disk/by-${tag.toLowerCase()}/${encode(unquote(value))}`;
  return file.startsWith('/dev/') ? Buffer.from(file, 'latin1').toString('utf8') : undefined;
}

/**
 * Removes quotes. systemd, which waits for the device, decodes nothing else (src/shared/fstab-util.c,
 * fstab_node_to_udev_node()).
 */
function unquote(value: string): string {
  return /^(["'])(.*)\1$/s.exec(value)?.[2] ?? value;
}

/**
 * Encodes a value as udev does in the names of links: each byte that is neither a plain character nor part of a UTF-8
 * character becomes \xNN (libblkid, blkid_encode_string()).
 */
function encode(value: string): string {
  return value.replace(encoded, (character, plain: string | undefined) =>
    plain === undefined ? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}` : character,
  );
}

/**
 * Matches either a run of plain and UTF-8 characters (RFC 3629, section 4), which group 1 captures, or a single byte to
 * be encoded.
 */
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
