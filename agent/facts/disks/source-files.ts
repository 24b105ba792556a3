/**
 * Converts a source to the path of a device file or of a udev link: "UUID=…" -> /dev/disk/by-uuid/….
 * @param source from /proc/swaps, a command line, or fstab(5) with the octal escapes decoded; one character per byte
 * @returns the path, one character per byte; undefined for a source that is not a device, such as an NFS export or "tmpfs"
 */
export function fileOfSource(source: string): string | undefined {
  const [, tag, value = ''] = /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)$/s.exec(source) ?? [];
  const file = tag === undefined ? source : `/dev/disk/by-${tag.toLowerCase()}/${encode(unquote(value))}`;
  return file.startsWith('/dev/') ? file : undefined;
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
 * character (RFC 3629, section 4) becomes \xNN (libblkid, blkid_encode_string()).
 */
function encode(value: string): string {
  return value.replace(
    /((?:[\w#+\-.:=@]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})+)|[^]/g,
    (character, plain: string | undefined) =>
      plain === undefined ? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}` : character,
  );
}
