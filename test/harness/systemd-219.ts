import type { Mount } from '../../agent/facts/mounts/mountinfo.ts';

/**
 * Unit files and drop-ins by their path below a folder of units, for example "var.mount" or "var.mount.d/x.conf". The
 * links of a target, such as "local-fs.target.wants/var.mount", have an empty text.
 */
export type UnitFiles = Record<string, string>;

/**
 * Returns the mounts that systemd 219 unmounts at shutdown, that is, those whose unit has Conflicts=umount.target.
 * Follows the decisions that systemd of RHEL 7.9 makes when it starts (src/core/mount.c:
 * mount_load_proc_self_mountinfo(), mount_setup_unit(), mount_add_default_dependencies(), should_umount();
 * src/core/unit.c: unit_add_mount_dependencies()).
 * @returns the targets, in the order of mountinfo
 */
export function unmountedAtShutdown(mounts: readonly Mount[], files: UnitFiles): string[] {
  const units: Units = new Map();
  for (const mount of mounts) {
    if (isApi(mount.target) || mount.type === 'autofs') continue;
    const name = unitName(mount.target);
    const unit = units.get(name);
    if (unit === undefined) addFromMountinfo(units, files, name, mount);
    else if (!unit.found) Object.assign(unit, { found: true, conflicts: isUnmountedByDefault(mount) });
  }
  return mounts.map(({ target }) => target).filter((target) => units.get(unitName(target))?.conflicts);
}

/** By name of the unit: whether a file for the unit was found, and whether the unit conflicts with umount.target. */
type Units = Map<string, { found: boolean; conflicts: boolean }>;

/**
 * Adds the unit of a mount for which no unit was loaded. systemd decides whether to unmount the mount before it knows
 * the mount options.
 */
function addFromMountinfo(units: Units, files: UnitFiles, name: string, mount: Mount): void {
  const unit = { found: true, conflicts: !['/', '/usr'].includes(mount.target) };
  units.set(name, unit);
  load(units, files, 'local-fs.target');
  const lines = linesOf(files, name);
  unit.conflicts ||= hasDefaults(lines) && isUnmountedByDefault(mount);
  for (const other of namedBy(files, name, lines)) load(units, files, other);
}

/** Loads a unit from its file, and all units that the file names. The drop-ins of a unit without a file are ignored. */
function load(units: Units, files: UnitFiles, name: string): void {
  if (units.has(name)) return;
  const found = files[name] !== undefined || name.endsWith('.target');
  const lines = found ? linesOf(files, name) : [];
  const isMount = found && name.endsWith('.mount');
  const [target = '', options = ''] = ['Where', 'Options'].map((key) => valuesOf(lines, key).at(-1));
  const conflicts =
    isMount && hasDefaults(lines) && isUnmountedByDefault({ target, options: options.split(',') });
  units.set(name, { found, conflicts });
  for (const other of namedBy(files, name, lines)) load(units, files, other);
}

function linesOf(files: UnitFiles, name: string): string[] {
  const dropins = Object.keys(files).filter((file) => file.startsWith(`${name}.d/`));
  return [name, ...dropins.sort()].flatMap((file) => (files[file] ?? '').split('\n'));
}

function valuesOf(lines: readonly string[], key: string): string[] {
  return lines.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1));
}

function hasDefaults(lines: readonly string[]): boolean {
  return !/^(no|false|off|0)$/.test(valuesOf(lines, 'DefaultDependencies').at(-1) ?? '');
}

function namedBy(files: UnitFiles, name: string, lines: readonly string[]): string[] {
  const links = Object.keys(files).flatMap((file) => {
    const [folder = '', unit] = file.split('/');
    return unit !== undefined && [`${name}.wants`, `${name}.requires`].includes(folder) ? [unit] : [];
  });
  const paths = valuesOf(lines, 'RequiresMountsFor').flatMap((value) => value.split(' '));
  return [
    ...links,
    ...dependencies.flatMap((key) => valuesOf(lines, key)).flatMap((value) => value.split(' ')),
    ...paths
      .flatMap((each) => each.split('/').map((_, count, parts) => parts.slice(0, count + 1).join('/')))
      .map((prefix) => unitName(prefix === '' ? '/' : prefix)),
  ];
}

const dependencies = ['Wants', 'Requires', 'BindsTo', 'After', 'Before', 'Conflicts', 'OnFailure'];

function isUnmountedByDefault({ target, options }: Pick<Mount, 'target' | 'options'>): boolean {
  return !/^\/(|usr|(proc|sys|dev)(\/.*)?)$/.test(target) && !options.includes('x-initrd.mount');
}

/** Whether systemd ignores a mount (src/core/mount-setup.c: mount_point_is_api(), mount_point_ignore()). */
function isApi(target: string): boolean {
  return (
    target.startsWith('/sys/fs/cgroup/') ||
    /^\/(proc|sys|dev|run|dev\/(shm|pts|console)|proc\/kmsg|sys\/kernel\/security)$/.test(target) ||
    /^\/sys\/fs\/(cgroup|pstore|selinux|smackfs|kdbus)$/.test(target)
  );
}

/** Returns the result of systemd-escape(1) --path --suffix=mount. */
function unitName(target: string): string {
  if (target === '/') return '-.mount';
  const escaped = target
    .slice(1)
    .replace(/^\.|[^\w:./]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`)
    .replaceAll('/', '-');
  return `${escaped}.mount`;
}
