import { escapePath } from '../guest/units.ts';
import type { Native } from '../native/native.ts';

/**
 * The unit files of a run of the generator. They are collected first, so that a fault leaves none of them, and each file is
 * written once. systemd 219 reads at most 2047 characters of a line, so each line names one unit.
 */
export interface UnitFiles {
  /** Adds lines to the drop-in of a unit. */
  dropin: (unit: string, ...lines: readonly string[]) => void;
  /** Sets the content of a file in the directory of normal priority. */
  file: (name: string, ...lines: readonly string[]) => void;
  /** Links a file in the directory of normal priority. */
  link: (name: string, target: string) => void;
  /** Links a file in the directory of early priority, which overrides /etc. */
  earlyLink: (name: string, target: string) => void;
  /** Masks a unit with an empty file of early priority (systemd.unit(5)). */
  mask: (unit: string) => void;
  /** Units that local-fs.target wants. */
  wanted: string[];
  /** Units that local-fs.target is ordered after. */
  after: string[];
  write: (native: Pick<Native, 'makeDirectory' | 'write' | 'link'>, out: string, early: string) => void;
}

export function unitFiles(): UnitFiles {
  const dropins = new Map<string, string>();
  const files = new Map<string, string>();
  const links = new Map<string, string>();
  const masked = new Set<string>();
  const earlyLinks = new Map<string, string>();
  const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('');
  const units: UnitFiles = {
    dropin: (unit, ...lines) => void dropins.set(unit, (dropins.get(unit) ?? '') + text(lines)),
    file: (name, ...lines) => void files.set(name, text(lines)),
    link: (name, target) => void links.set(name, target),
    earlyLink: (name, target) => void earlyLinks.set(name, target),
    mask: (unit) => void masked.add(unit),
    wanted: [],
    after: [],
    write: (native, out, early) => {
      addLocalFs(units);
      const below = (name: string) => {
        const [folder, rest] = name.split('/');
        if (rest !== undefined) native.makeDirectory(`${out}/${folder}`);
        return `${out}/${name}`;
      };
      for (const unit of masked) native.write(`${early}/${unit}`, '');
      for (const [name, target] of earlyLinks) native.link(target, `${early}/${name}`);
      for (const [name, content] of files) native.write(below(name), content);
      for (const [name, target] of links) native.link(target, below(name));
      for (const [unit, content] of dropins) native.write(below(`${unit}.d/immutafs.conf`), content);
    },
  };
  return units;
}

/**
 * systemd loads local-fs.target and all units that the target names when it reads the first line of mountinfo, that is,
 * before it reads our mounts.
 */
function addLocalFs({ wanted, after, dropin }: UnitFiles): void {
  if (wanted.length + after.length === 0) return;
  const lines = [...wanted.map((unit) => `Wants=${unit}`), ...after.map((unit) => `After=${unit}`)];
  dropin('local-fs.target', '[Unit]', ...lines);
}

/**
 * Keeps an existing mount until systemd-shutdown(8) unmounts it. systemd 219 ignores drop-ins for a mount that it finds
 * in mountinfo, but not a unit file that it has loaded before (src/core/mount.c, mount_setup_unit()).
 */
export function keepAtShutdown(units: UnitFiles, path: string): void {
  // A restart would unmount it, and only the initramfs can mount it again.
  units.after.push(writeFoundMount(units, path, 'DefaultDependencies=no', 'RefuseManualStop=yes'));
}

/**
 * Writes the unit of a mount that immutafs-boot or the initramfs makes. systemd finds the mount, and its condition prevents
 * the unit from mounting anything itself: mount(8) would follow a symbolic link with which the owner of a directory above
 * replaces the path. A skipped unit does not fail the units that require it. What= is the path itself, because systemd would
 * make the unit require another mount.
 * @param lines of [Unit]
 * @returns the name of the unit
 */
export function writeFoundMount(units: UnitFiles, path: string, ...lines: readonly string[]): string {
  const name = `${escapePath(path)}.mount`;
  const mount = ['[Mount]', `What=${path}`, `Where=${path}`, 'Type=none', 'Options=bind'];
  units.file(name, '[Unit]', ...lines, 'ConditionPathExists=!/', ...mount);
  return name;
}

/** Doubles each "%", which would begin a specifier (systemd.unit(5)). */
export function withoutSpecifiers(text: string): string {
  return text.replaceAll('%', '%%');
}
