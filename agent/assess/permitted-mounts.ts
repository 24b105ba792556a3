import { type Config, words } from '../config/config.ts';
import type { Layer, Overlay } from '../facts/boot/overlays.ts';
import { pathItems, persistItems } from '../facts/boot/kept-paths.ts';
import type { Disk } from '../facts/disks/disks.ts';
import { type FstabLine, missingRestrictions } from '../facts/mounts/fstab.ts';
import type { MountUnit } from '../facts/mounts/mount-units.ts';
import { type Mount, type MountTable, isBelow, lowersOf, optionOf } from '../facts/mounts/mountinfo.ts';
import { addedOptions } from '../facts/mounts/targets.ts';
import type { Observed } from '../facts/observed.ts';
import { isOfPrograms, startReason } from '../facts/security/places.ts';
import {
  hidesFstab,
  isBind,
  isBoundOnItself,
  isFromRun,
  isOfLine,
  isType,
  sourceMount,
  volatile,
} from './mount-origin.ts';
import { kernelTypes, onDisks, persistenceTest } from './persistence.ts';

/**
 * What a mount may do without a finding. `input`: cover files that the agent or the boot reads. `start`: cover files of the
 * sealed disk where programs start. `layer`: be inside a layer elsewhere, so that `changes` does not see its files.
 * `persistent`: be mounted at all although the host did not make its disk read-only, or because it did; a mount without this
 * permission outlives a reboot, and no configuration of the sealed disk names it as data.
 */
type Permission = 'input' | 'start' | 'layer' | 'persistent';

/** A kind of mounts that may exist. */
interface Row {
  id: string;
  /** Why mounts of this kind may exist: a clause without a subject. */
  why: string;
  permits: readonly Permission[];
  test: (mount: Mount, guest: View) => boolean;
}

/** The guest as the rows see it. */
export interface MountSources {
  mounts: MountTable;
  config: Config;
  fstab: readonly FstabLine[];
  mountUnits: readonly MountUnit[];
  layers: readonly Pick<Layer, 'target' | 'lower' | 'upper'>[];
  overlays: readonly Pick<Overlay, 'target' | 'upper' | 'lower'>[];
  /** Not needed for the permissions `start` and `layer`. */
  disks?: readonly Disk[];
  /** The disks of / and of the other targets of REQUIRE_READONLY, which host-enforced examines. */
  requiredDisks?: readonly Disk[];
  scratchDevice?: Observed<string | undefined>;
  /** The paths of PERSIST and SCRATCH that are mounted as configured; needed for the permission `input`. */
  mounted?: ReadonlySet<string>;
}

export type PermittedMounts = ReturnType<typeof permittedMounts>;
type View = ReturnType<typeof viewOf>;

/**
 * The mounts that may exist. Of several rows with the same permission, the first one that fits a mount counts. A mount
 * that fits no row is reported by stacked-mounts or persistent-mounts.
 */
const rows: readonly Row[] = [
  // --- what no reboot survives, or nothing in the guest can write
  {
    id: 'kernel',
    why: 'shows objects of the kernel and holds no files of users',
    permits: ['layer', 'persistent'],
    test: ({ type }) => kernelTypes.has(type),
  },
  {
    id: 'firmware',
    why: 'holds the EFI variables, which boot-inputs examines',
    permits: ['persistent'],
    test: ({ type }) => type === 'efivarfs',
  },
  {
    id: 'sealed',
    why: 'is on disks that the host made read-only',
    permits: ['persistent'],
    test: (mount, { isHostReadOnly }) => isHostReadOnly(mount),
  },
  {
    id: 'system',
    why: 'is on a disk of / or of another target of REQUIRE_READONLY, which host-enforced examines',
    permits: ['persistent'],
    test: (mount, { isRequired }) => isRequired(mount),
  },
  {
    id: 'scratch',
    why: 'is on SCRATCH_DEVICE, on which every sealed boot makes a new file system with a new key',
    permits: ['persistent'],
    test: ({ device }, { scratch }) => device === scratch,
  },
  {
    id: 'memory',
    why: 'is in memory, with lower layers that nothing in the guest can write',
    permits: ['persistent'],
    test: (mount, { isPersistent, hasLastingLower }) => !isPersistent(mount) && !hasLastingLower(mount),
  },

  // --- what the boot of this package mounts
  {
    id: 'examined',
    why: 'is an overlay on /var, below it or at a path of OVERLAY, which var-overlay and overlay-paths examine',
    permits: ['persistent'],
    test: (mount, { uppers, isServing }) =>
      mount.type === 'overlay' && uppers.has(mount.target) && isServing(mount),
  },
  {
    id: 'root-disk',
    why: 'is /etc or /usr on a disk of /',
    permits: ['input'],
    test: (mount, { isOnDiskOfRoot }) => ['/etc', '/usr'].includes(mount.target) && isOnDiskOfRoot(mount),
  },
  {
    id: 'overlay',
    why: 'is the overlay of a path of OVERLAY',
    permits: ['input'],
    test: (mount, { isOverlayOfBoot }) => isOverlayOfBoot(mount),
  },
  {
    id: 'overlay-path',
    why: 'is at a path of OVERLAY, which overlay-paths examines',
    permits: ['start', 'layer'],
    test: ({ target }, { overlayPaths }) => overlayPaths.has(target),
  },
  {
    id: 'layer',
    why: 'is an overlay of the boot on /var, or below it',
    permits: ['start', 'layer'],
    test: (mount, { isLayer }) => isLayer(mount),
  },
  {
    id: 'persist',
    why: 'is at a path of PERSIST, which persisted-paths examines',
    permits: ['start', 'layer', 'persistent'],
    test: (mount, { persistPaths, isServing, storeDevice }) =>
      persistPaths.has(mount.target) && (isServing(mount) || mount.device === storeDevice),
  },
  {
    id: 'scratch-path',
    why: 'is at a path of SCRATCH, which scratch-paths examines',
    permits: ['start', 'layer'],
    test: ({ target }, { scratchPaths }) => scratchPaths.has(target),
  },
  {
    id: 'mounted-path',
    why: 'is at a path of PERSIST or SCRATCH and mounted as configured',
    permits: ['input'],
    test: ({ target }, { mounted }) => mounted.has(target),
  },
  {
    id: 'run-file',
    why: 'is a file of /run that the boot or systemd mounts over a file of a read-only /etc',
    permits: ['start', 'layer'],
    test: (mount, { mounts }) => isFromRun(mounts, mount),
  },
  {
    id: 'itself',
    why: 'is a directory that is bound over itself to get mount options of its own',
    permits: ['input', 'start', 'layer'],
    test: (mount, { parentOf }) => isBoundOnItself(mount, parentOf(mount)),
  },

  // --- what the sealed disk configures
  {
    id: 'required',
    why: 'is a disk at a target of REQUIRE_READONLY, which boot-readonly and host-enforced examine',
    permits: ['start', 'layer'],
    test: ({ target, type }, { required }) => required.includes(target) && !volatile.test(type),
  },
  {
    id: 'fstab-input',
    why: 'is in /etc/fstab, and not at /etc',
    permits: ['input'],
    test: (mount, { linesOf }) => mount.target !== '/etc' && linesOf(mount).length > 0,
  },
  {
    id: 'configured',
    why: 'is in /etc/fstab or a mount unit of the system disk',
    permits: ['start', 'layer'],
    test: (mount, { linesOf, unitOf }) => linesOf(mount).length > 0 || unitOf(mount) !== undefined,
  },
  {
    id: 'home',
    why: 'is at or below /home, whose options REQUIRE_OPTIONS decides',
    permits: ['persistent'],
    test: ({ target }) => isBelow(target, '/home'),
  },
  {
    id: 'fstab-data',
    why: 'is data: /etc/fstab or a mount unit mounts it with noexec, nosuid and nodev',
    permits: ['persistent'],
    test: (mount, { isRestricted, isDeclared }) =>
      isRestricted(mount) && isData(mount.target) && isDeclared(mount),
  },
  {
    id: 'DATA',
    why: 'is data: DATA names it, with the options that it has',
    permits: ['persistent'],
    test: (mount, { dataItem }) => {
      const item = dataItem(mount.target);
      return item !== undefined && dataProblems(mount, item).length === 0;
    },
  },
  {
    id: 'bound-data',
    why: 'is a directory of data that /etc/fstab binds there, with noexec, nosuid and nodev',
    permits: ['persistent'],
    test: (mount, { mounts, isRestricted, linesOf, isLasting }) =>
      isRestricted(mount) &&
      isData(mount.target) &&
      linesOf(mount).some((line) => isBind(line) && isLasting(sourceMount(mounts, line), mount)),
  },
  {
    id: 'bound-on-itself',
    why: 'is a directory of data that is bound over itself, with no option less',
    permits: ['persistent'],
    test: (mount, { parentOf, isLasting }) => {
      const parent = parentOf(mount);
      const lacking = missingRestrictions(mount.options);
      return (
        isBoundOnItself(mount, parent) &&
        isLasting(parent, mount) &&
        lacking.every((option) => missingRestrictions(parent?.options ?? []).includes(option))
      );
    },
  },

  // --- what programs of the sealed disk mount
  {
    id: 'automounted',
    why: 'is mounted by an automounter',
    permits: ['layer'],
    test: (mount, { parentOf }) => parentOf(mount)?.type === 'autofs',
  },
  {
    id: 'automounted-data',
    why: 'is data: an automounter mounts it with noexec, nosuid and nodev',
    permits: ['persistent'],
    test: (mount, { parentOf, isRestricted }) =>
      parentOf(mount)?.type === 'autofs' && isRestricted(mount) && isData(mount.target),
  },
  {
    id: 'program-place',
    why: 'is where container engines, snaps and chroots mount file systems',
    permits: ['layer'],
    test: ({ target }) => usualPlaces.some((place) => isBelow(target, place)),
  },
  {
    id: 'container',
    why: 'is the overlay of a container whose layers are in a store that may exist itself',
    permits: ['persistent'],
    test: (mount, { mounts, parentOf, isLasting }) =>
      mount.type === 'overlay' &&
      usualPlaces.some((place) => isBelow(mount.target, place)) &&
      [parentOf(mount), ...layersOf(mount).map((layer) => mounts.serving(layer))].every((each) =>
        isLasting(each, mount),
      ),
  },
  {
    id: 'known-files',
    why: 'shows files of the sealed disk or of a layer',
    permits: ['layer'],
    test: ({ device }, { shownDevices }) => shownDevices.has(device),
  },
  {
    id: 'user-fuse',
    why: 'is served by a process of a user, or by one that computes its files, and ends with it',
    permits: ['persistent'],
    test: (mount) => isFuseOfUser(mount) || isComputed(mount),
  },
];

/** Decides which mounts may exist, and why. */
export function permittedMounts(sources: MountSources) {
  const found = new Map<Permission, Map<Mount, Row | undefined>>();
  const rowOf = (mount: Mount, permission: Permission): Row | undefined => {
    const known = found.get(permission) ?? new Map<Mount, Row | undefined>();
    found.set(permission, known);
    if (known.has(mount)) return known.get(mount);
    // Set before the rows are tested, so that a mount that depends on itself is not permitted.
    known.set(mount, undefined);
    const row = rows.find((each) => each.permits.includes(permission) && each.test(mount, view));
    known.set(mount, row);
    return row;
  };
  const view = viewOf(sources, (mount) => rowOf(mount, 'persistent'));
  const { isHostReadOnly, isPersistent } = view;
  return {
    /** Returns why a mount may do something: the id and the reason of a row; undefined if it may not. */
    reasonFor: (mount: Mount, permission: Permission): Pick<Row, 'id' | 'why'> | undefined =>
      rowOf(mount, permission),
    isHostReadOnly,
    /** Whether data written to a mount survives a reboot. */
    isPersistent,
    dataItem: view.dataItem,
    linesOf: view.linesOf,
    unitOf: view.unitOf,
  };
}

/** Directories in which programs that come with a system mount file systems: containers, snaps, chroots, users of loop. */
export const usualPlaces: readonly string[] = [
  ...['containers', 'containerd', 'crio', 'docker', 'incus', 'k0s', 'kubelet', 'lxc', 'lxd', 'machines'].map(
    (name) => `/var/lib/${name}`,
  ),
  ...['flatpak', 'nomad', 'rancher', 'snapd', 'ceph', 'libvirt', 'schroot', 'mock'].map(
    (name) => `/var/lib/${name}`,
  ),
  ...['/var/snap', '/var/named/chroot', '/var/named/chroot_sdb', '/var/named/chroot_sdb_ng'],
];

function viewOf(sources: MountSources, persistentRow: (mount: Mount) => Row | undefined) {
  const { mounts, config, fstab, mountUnits, layers, overlays, disks = [], requiredDisks = [] } = sources;
  const { scratchDevice = { value: undefined }, mounted = new Set<string>() } = sources;
  const byId = new Map(mounts.all.map((mount) => [mount.id, mount]));
  const lines = Map.groupBy(fstab, ({ target }) => target);
  const units = new Map(mountUnits.map((unit) => [unit.target, unit]));
  const uppers = new Map([...layers, ...overlays].map(({ target, upper }) => [target, upper]));
  const added = new Map(addedOptions(config).map(({ target, list }) => [target, list]));
  const root = mounts.serving('/');
  const shown = [
    '/',
    ...layers.flatMap(({ target, lower }) => [target, lower]),
    ...overlays.flatMap(({ target, lower }) => [target, ...(lower === undefined ? [] : [lower.view])]),
  ];
  const linesOf = (mount: Mount): FstabLine[] =>
    hidesFstab(mount) ? [] : (lines.get(mount.target) ?? []).filter((line) => isOfLine(mounts, mount, line));
  const unitOf = ({ target, type }: Mount): MountUnit | undefined => {
    const unit = units.get(target);
    return unit === undefined || (unit.type !== undefined && !isType(type, unit.type)) ? undefined : unit;
  };
  const isLayer = ({ target, type, superOptions }: Mount) =>
    type === 'overlay' && superOptions.includes(`upperdir=${uppers.get(target) ?? ''}`);
  const itemPaths = (items: readonly { path: string }[]) => new Set(items.map(({ path }) => path));
  const data = pathItems(config.DATA).toSorted((a, b) => b.path.length - a.path.length);
  return {
    mounts,
    mounted,
    uppers,
    scratch: 'value' in scratchDevice ? scratchDevice.value : undefined,
    required: words(config.REQUIRE_READONLY),
    persistPaths: itemPaths(persistItems(config)),
    storeDevice: config.PERSIST_STORE === '' ? undefined : mounts.serving(config.PERSIST_STORE)?.device,
    scratchPaths: itemPaths(pathItems(config.SCRATCH)),
    overlayPaths: new Set(overlays.map(({ target }) => target)),
    shownDevices: new Set(shown.map((each) => mounts.serving(each)?.device)),
    isHostReadOnly: onDisks(disks, ({ hostReadOnly }) => hostReadOnly === true),
    isRequired: onDisks(disks, (disk) => requiredDisks.includes(disk)),
    isPersistent: persistenceTest(mounts, scratchDevice),
    isServing: (mount: Mount) => mounts.serving(mount.target) === mount,
    parentOf: ({ id, parent }: Mount) => (parent === id ? undefined : byId.get(parent)),
    linesOf,
    unitOf,
    isLayer,
    /** Whether a mount is the overlay of a path of OVERLAY, with the layers that the boot uses. */
    isOverlayOfBoot: (mount: Mount) =>
      isLayer(mount) && overlays.some(({ target, lower }) => target === mount.target && lower !== undefined),
    isOnDiskOfRoot: ({ device, target }: Mount) =>
      device !== root?.device && disks.some(({ holds }) => holds.includes('/') && holds.includes(target)),
    /** Whether a mount has noexec, nosuid and nodev. */
    isRestricted: ({ options }: Mount) => missingRestrictions(options).length === 0,
    /** Whether fstab or a unit, with MOUNT_OPTIONS, mounts a mount with noexec, nosuid and nodev. */
    isDeclared: (mount: Mount) =>
      [...linesOf(mount), ...[unitOf(mount)].filter((unit) => unit !== undefined)].some(
        ({ options }) => missingRestrictions([...options, ...(added.get(mount.target) ?? [])]).length === 0,
      ),
    /** Returns the item of DATA for a path: the nearest one at or above it. */
    dataItem: (target: string) => data.find(({ path }) => isBelow(target, path)),
    /** Whether a mount on which another one depends may exist itself. */
    isLasting: (mount: Mount | undefined, dependent: Mount) =>
      mount !== undefined && mount !== dependent && persistentRow(mount) !== undefined,
    /** Whether an overlay has a lower layer that something in the guest can write, and that survives a reboot. */
    hasLastingLower: (mount: Mount) =>
      lowersOf(mount).some((lower) => {
        const below = lower.startsWith('/') ? mounts.serving(lower) : undefined;
        if (below === undefined || below === mount) return true;
        return !['kernel', 'sealed', 'system', 'scratch', 'memory'].includes(persistentRow(below)?.id ?? '');
      }),
  };
}

/** Returns the absolute paths of the layers of an overlay. */
function layersOf(mount: Mount): string[] {
  return [optionOf(mount, 'upperdir') ?? '', ...lowersOf(mount)].filter((layer) => layer.startsWith('/'));
}

/** Whether nothing that is known starts programs from a path. */
function isData(target: string): boolean {
  return !isOfPrograms(target) && startReason(target) === undefined;
}

/** Returns what DATA must have for a mount, and does not: options, or another path. */
export function dataProblems({ target, options }: Mount, item: { options: readonly string[] }): string[] {
  if (isOfPrograms(target)) return ['another path'];
  const needed = missingRestrictions(options).map((option) => option.slice(2));
  const autostart = startReason(target) === undefined ? [] : ['autostart'];
  return [...needed, ...autostart].filter((option) => !item.options.includes(option));
}

/** Whether a user other than root has mounted a FUSE file system; fusermount(1) gives it nosuid and nodev. */
function isFuseOfUser({ type, options, superOptions }: Mount): boolean {
  const user = superOptions.find((option) => option.startsWith('user_id=')) ?? 'user_id=0';
  return isFuse(type) && user !== 'user_id=0' && options.includes('nosuid') && options.includes('nodev');
}

function isFuse(type: string): boolean {
  return type === 'fuse' || type.startsWith('fuse.');
}

/** The FUSE file systems whose files a program of the system computes, with the directory in which it mounts them. */
const computed: readonly (readonly [type: string, place: string])[] = [
  ['fuse.gvfsd-fuse', '/run/user'],
  ['fuse.portal', '/run/user'],
  ['fuse.lxcfs', '/var/lib/lxcfs'],
];

function isComputed({ type, target }: Mount): boolean {
  return computed.some(([each, place]) => type === each && isBelow(target, place));
}
