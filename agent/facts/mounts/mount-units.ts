import type { SystemReader } from '../../system/reader.ts';
import { decodeBytes } from '../../lib/format.ts';

/** A mount unit of the system disk (systemd.mount(5)). */
export interface MountUnit {
  target: string;
  /** Type=; undefined if the unit does not state it. */
  type: string | undefined;
  /** Options=. */
  options: string[];
}

/** The directories of units on the system disk, the one that takes precedence first (systemd.unit(5)). */
const directories = ['/etc/systemd/system', '/usr/lib/systemd/system'];

/** Mount points of file systems of the kernel, for which systemd has units of its own. */
const kernelUnits = /^(?:dev|proc|sys|run)-/;

/** Reads the mount units in the directories of the system disk. @throws SystemError if a directory or unit cannot be read */
export function readMountUnits(reader: SystemReader): MountUnit[] {
  const units = new Map<string, MountUnit>();
  for (const directory of directories.filter((each) => reader.stat(each)?.kind === 'directory')) {
    for (const name of reader.list(directory)) {
      if (!name.endsWith('.mount') || kernelUnits.test(name) || units.has(name)) continue;
      const text = reader.readIfPresent(`${directory}/${name}`, 65536) ?? '';
      const type = /^[ \t]*Type[ \t]*=[ \t]*(\S+)/m.exec(text)?.[1];
      const options = (/^[ \t]*Options[ \t]*=[ \t]*(\S+)/m.exec(text)?.[1] ?? '').split(',');
      units.set(name, { target: unescapeUnit(name.slice(0, -'.mount'.length)), type, options });
    }
  }
  return [...units.values()];
}

/** Returns the path that the name of a unit stands for (systemd-escape(1), --unescape --path). */
function unescapeUnit(name: string): string {
  const bytes = name
    .replaceAll('-', '/')
    .replace(/\\x([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)));
  return `/${decodeBytes(bytes)}`;
}
