import path from 'node:path';
import { type Config, words } from '../config/config.ts';
import type { Layer, Overlay } from '../facts/boot/overlays.ts';
import { pathItems, persistItems } from '../facts/boot/persist.ts';
import type { FstabLine } from '../facts/mounts/fstab.ts';
import type { MountUnit } from '../facts/mounts/mount-units.ts';
import { type Mount, type MountTable, isBelow } from '../facts/mounts/mountinfo.ts';
import { kernelTypes } from './footholds.ts';
import { startPlaces } from '../facts/security/places.ts';

/** A mount inside a layer or over files of the sealed disk that no configuration of the sealed disk explains. */
export interface UnexplainedMount {
  mount: Mount;
  /** Whether programs start from the mount point or from a directory below it. */
  startsPrograms: boolean;
}

interface MountSources {
  mounts: MountTable;
  config: Config;
  fstab: readonly FstabLine[];
  mountUnits: readonly MountUnit[];
  layers: readonly Pick<Layer, 'target' | 'lower' | 'upper'>[];
  overlays: readonly Pick<Overlay, 'target' | 'upper' | 'lower'>[];
}

/**
 * Finds mounts over /etc, /usr, /opt and /root, and inside the layers and of the paths of PERSIST, that neither fstab,
 * a mount unit of the system disk nor the boot made. Their files are in no layer, so `changes` does not see them. Omits
 * mounts outside the places from which programs start if they show files that are sealed or in a layer, or belong to a
 * program that mounts file systems there, such as a container engine. Those from which programs start come first.
 */
export function findUnexplainedMounts(sources: MountSources): UnexplainedMount[] {
  const { mounts, overlays, config } = sources;
  const isOverlay = ({ target }: { target: string }) => mounts.serving(target)?.type === 'overlay';
  const layers = sources.layers.filter(isOverlay).map(({ target }) => target);
  const others = overlays.filter(isOverlay).map(({ target }) => target);
  const inside = [...layers, ...others, ...persistItems(config).map((item) => item.path)];
  const isExplained = explanation(sources);
  const isHarmless = harmless(sources);
  const found = mounts.all.flatMap((mount) => {
    const { target } = mount;
    const isOver = systemDirectories.some((directory) => isBelow(target, directory)) && !isOwnDisk(mount);
    if (!isOver && !inside.some((each) => target !== each && isBelow(target, each))) return [];
    if (mounts.hidden.has(mount) || isExplained(mount)) return [];
    const startsPrograms =
      isOver ||
      others.some((each) => isBelow(target, each) && !isBelow(target, '/var')) ||
      placesInVar.some((place) => isBelow(target, place) || isBelow(place, target));
    return startsPrograms || !isHarmless(mount) ? [{ mount, startsPrograms }] : [];
  });
  return found.toSorted((a, b) => Number(b.startsPrograms) - Number(a.startsPrograms));
}

/** Directories of the sealed disk from which programs start, or that configure them. */
const systemDirectories = ['/etc', '/usr', '/opt', '/root'];
/** Whether a mount is /etc or /usr on a disk, about which mounts-genuine and stacked-mounts decide. */
function isOwnDisk({ target, type }: Mount): boolean {
  return ['/etc', '/usr'].includes(target) && !volatile.test(type);
}

/** Directories in which programs that come with a system mount file systems: containers, snaps, chroots, users of loop. */
const usualPlaces = [
  ...['containers', 'containerd', 'crio', 'docker', 'incus', 'k0s', 'kubelet', 'lxc', 'lxd', 'machines'].map(
    (name) => `/var/lib/${name}`,
  ),
  ...['flatpak', 'nomad', 'rancher', 'snapd', 'ceph', 'libvirt', 'schroot', 'mock'].map(
    (name) => `/var/lib/${name}`,
  ),
  ...['/var/snap', '/var/named/chroot', '/var/named/chroot_sdb', '/var/named/chroot_sdb_ng'],
];

/** Places in /var from which programs start by themselves. */
const placesInVar = startPlaces
  .filter(
    ({ path, category }) => category !== undefined && path.startsWith('/var/') && !usualPlaces.includes(path),
  )
  .map(({ path }) => path);

/** Returns a function that decides whether fstab, a unit of the system disk or the boot made a mount. */
function explanation({ mounts, config, fstab, mountUnits, layers, overlays }: MountSources) {
  const byId = new Map(mounts.all.map((mount) => [mount.id, mount]));
  const lines = Map.groupBy(fstab, ({ target }) => target);
  const units = new Map(mountUnits.map((unit) => [unit.target, unit]));
  const uppers = new Map([...layers, ...overlays].map(({ target, upper }) => [target, upper]));
  // persisted-paths, scratch-paths and overlay-paths examine the mounts on the paths of these keys themselves.
  const configured = new Set([
    ...persistItems(config).map((item) => item.path),
    ...pathItems(config.SCRATCH).map((item) => item.path),
    ...overlays.map(({ target }) => target),
  ]);
  // boot-readonly and host-enforced examine these file systems.
  const readOnly = words(config.REQUIRE_READONLY);
  const isUnit = ({ target, type }: Mount) => {
    const unit = units.get(target);
    return unit !== undefined && (unit.type === undefined || isType(type, unit.type));
  };
  const isOurs = ({ target, type, superOptions }: Mount) =>
    type === 'overlay' && superOptions.includes(`upperdir=${uppers.get(target) ?? ''}`);
  return (mount: Mount) =>
    configured.has(mount.target) ||
    isOurs(mount) ||
    (readOnly.includes(mount.target) && !volatile.test(mount.type)) ||
    isUnit(mount) ||
    (!hidesFstab(mount) && (lines.get(mount.target) ?? []).some((line) => isOfLine(mounts, mount, line))) ||
    isBoundOnItself(mount, byId.get(mount.parent)) ||
    isFromRun(mounts, mount);
}

/** Whether a mount has the type of a line of fstab; of a bind mount, whether it shows the file system of the source. */
function isOfLine(
  mounts: MountTable,
  { device, type }: Mount,
  { source, options, ...line }: FstabLine,
): boolean {
  if (options.some((each) => ['bind', 'rbind'].includes(each)))
    return mounts.serving(path.resolve('/', source))?.device === device;
  return isType(type, line.type);
}

/** File systems whose content is in memory or that any process can provide. */
const volatile = /^(?:tmpfs|ramfs|overlay|fuse.*)$/;

/** Whether a mount in memory contains the fstab, which therefore cannot explain it. */
function hidesFstab({ target, type }: Mount): boolean {
  return isBelow('/etc/fstab', target) && volatile.test(type);
}

/**
 * Whether a mounted file system can be of the type in fstab or a unit. The names may differ, for example nfs4 for nfs and
 * fuse.glusterfs for glusterfs.
 */
function isType(mounted: string, configured: string): boolean {
  if (mounted === configured || mounted.endsWith(`.${configured}`)) return true;
  if (/^(?:fuse|ntfs)/.test(configured)) return mounted.startsWith('fuse') || mounted === 'ntfs3';
  return !volatile.test(mounted) && !volatile.test(configured);
}

/**
 * Whether a mount shows the same files as the mount below it: a bind mount of a directory over itself, which `prepare`, the
 * boot and container engines make to give a directory mount options of its own.
 */
export function isBoundOnItself({ device, root, target }: Mount, parent: Mount | undefined): boolean {
  if (parent === undefined || target === '/' || device !== parent.device) return false;
  return root === path.join(parent.root, path.relative(parent.target, target));
}

/** The files in /run that the boot of this package and systemd (machine-id(5)) mount over files of a read-only /etc. */
const fromRun = new Map([
  ['/etc/lvm/lvmlocal.conf', '/immutafs/lvmlocal.conf'],
  ['/etc/machine-id', '/machine-id'],
]);

function isFromRun(mounts: MountTable, { device, root, target }: Mount): boolean {
  const run = mounts.serving('/run');
  const file = fromRun.get(target);
  return (
    run !== undefined && file !== undefined && device === run.device && root === path.join(run.root, file)
  );
}

/** Returns a function that decides whether a mount outside of the places from which programs start needs no report. */
function harmless({ mounts, layers, overlays }: MountSources): (mount: Mount) => boolean {
  const byId = new Map(mounts.all.map((mount) => [mount.id, mount]));
  const shown = [
    '/',
    ...layers.flatMap(({ target, lower }) => [target, lower]),
    ...overlays.flatMap(({ target, lower }) => [target, ...(lower === undefined ? [] : [lower.view])]),
  ];
  const devices = new Set(shown.map((each) => mounts.serving(each)?.device));
  return ({ type, target, device, parent }) =>
    kernelTypes.has(type) ||
    devices.has(device) ||
    byId.get(parent)?.type === 'autofs' ||
    usualPlaces.some((place) => isBelow(target, place));
}
