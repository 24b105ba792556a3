/** A record of udev's database, for the agent (tags.ts) and for the boot (boot/guest/udev.ts). */
export const udevData = '/run/udev/data';

/**
 * Returns the properties in a record, which are the lines "E:KEY=value". Ignores all other lines: links, tags and numbers
 * (systemd, src/libsystemd/sd-device/sd-device.c, handle_db_line()).
 * @param text one character per byte
 */
export function propertiesOf(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of text.split('\n')) {
    const end = line.indexOf('=');
    if (line.startsWith('E:') && end >= 0) properties.set(line.slice(2, end), line.slice(end + 1));
  }
  return properties;
}
