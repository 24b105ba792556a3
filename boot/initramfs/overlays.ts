/**
 * Mounts an overlay on each directory of OVERLAY. The upper layers share the tmpfs of /var. The lower layers are below read-only
 * mounts of their file systems in /run/immutafs, because the overlays hide the directories themselves. These mounts are not
 * noexec, nosuid and nodev, because on the first kernels that have overlayfs a file has the options of the mount of its layer
 * (struct file, f_path).
 *
 * A failure affects only its path. It is recorded in boot.env; ON_FAILURE does not apply.
 */
import { pathOf } from '../../agent/config/boot-keys.ts';
import { type OverlayPath, overlayPaths, overlayRefusal } from '../../agent/config/overlay-paths.ts';
import { directoriesOf, layersTmpfs, rootView } from '../../agent/facts/boot/layer-paths.ts';
import type { Mount } from '../../agent/facts/mounts/mount-lines.ts';
import { onFile } from '../../agent/lib/errors.ts';
import { outerFirst } from '../../agent/lib/paths.ts';
import { type OverlayRecord, appendBootEnv, overlayLine } from '../guest/boot-env.ts';
import { type BootState, disksOfMount, mountAt, readMounts } from '../guest/boot-state.ts';
import type { Early } from '../guest/command.ts';
import { overlayItems } from '../guest/config.ts';
import { type FstabLine, deviceLineOf, disksOfSource, sourceFile } from '../guest/fstab.ts';
import { flagsOf } from '../guest/mount.ts';
import { copyLabel } from '../guest/selinux.ts';
import { isLink } from '../guest/units.ts';
import { componentsOf, makeDirectories, reopen, using } from '../native/directories.ts';
import { isBlock, isDirectory } from '../native/reader.ts';
import { refusalOf } from '../native/refusal.ts';
import { type Boot, loadOverlay, mountLowerVolume, mountOverlay, provideTmpfs } from './layers.ts';
import { placeOverlay } from './overlay-paths.ts';

type Result = Omit<OverlayRecord, 'path'>;

const mounted: Result = { state: 'overlay', why: '' };
const failed = (why: string): Result => ({ state: 'failed', why });

/** Mounts the overlays on directories of the root file system. @returns what was done about each path */
export function assembleOverlays(boot: Boot & Early): OverlayRecord[] {
  const items = overlayItems(boot.config).map(pathOf);
  for (const path of items.filter((each, index) => items.indexOf(each) !== index))
    boot.warn(`OVERLAY: ${path} is given twice, the first item counts`);
  const all = new Map(overlayPaths(boot.config).map((item) => [item.target, item]));
  const run: Run = { ...boot, common: undefined, undo: [] };
  const records = outerFirst([...all.keys()]).map((path): OverlayRecord => {
    let result = failed('');
    const refusal = refusalOf(() => {
      result = examine(run, path) ?? mount(run, all.get(path) ?? { target: path, options: [] });
    });
    const { state, why } = refusal === undefined ? result : failed(refusal.reason);
    if (why !== '') boot.native.print(2, `immutafs: OVERLAY: ${path}: ${why}\n`);
    return { path, state, why };
  });
  const isUsed = records.some(({ state }) => state === 'overlay');
  if (!isUsed) for (const step of run.undo.toReversed()) refusalOf(step);
  return records;
}

interface Run extends Boot {
  /** Why no overlay can be mounted; empty if they can, undefined before this is known. */
  common: string | undefined;
  undo: (() => void)[];
}

/** Returns why the initramfs does not mount the overlay on a path; undefined if it can. */
function examine({ reader, root, fstab }: Boot, path: string): Result | undefined {
  const refusal = overlayRefusal(path);
  if (refusal !== undefined) return { state: 'refused', why: refusal };
  const mounts = readMounts(reader);
  const at = (each: string) => mountAt(mounts, each);
  if (at(`${root}${path}`)?.type === 'overlay')
    return isDirectory(reader.status(directoriesOf(path).upper))
      ? mounted
      : failed('another program has mounted an overlay there');
  const link = linkIn(reader, root, path);
  if (link !== undefined) return link;
  const place = placeOverlay({ reader, fstab }, root, notOwn(at), path);
  return place.state === 'now' ? unusable(reader, mounts, root, path) : place;
}

/** Overlays that this program has mounted do not count as mounts above a path. */
function notOwn(at: (path: string) => Mount | undefined) {
  return (path: string) => {
    const mount = at(path);
    return mount?.type === 'overlay' && mount.source === 'immutafs' ? undefined : mount;
  };
}

/** A component of a path that is a symbolic link. An overlay there would be mounted elsewhere. */
function linkIn(reader: Boot['reader'], root: string, path: string): Result | undefined {
  const link = componentsOf(path).find(([, whole]) => isLink(reader.stat(`${root}${whole}`)));
  return link && failed(`${link[1]} is a symbolic link: name the directory that it points to`);
}

/** Returns why a path is not a directory on which an overlay hides no mount; undefined if it is one. */
function unusable(
  reader: Boot['reader'],
  mounts: readonly Mount[],
  root: string,
  path: string,
): Result | undefined {
  const whole = `${root}${path}`;
  let status: ReturnType<Boot['reader']['status']>;
  const refusal = refusalOf(() => {
    status = reader.status(whole);
  });
  if (refusal !== undefined) return failed(refusal.reason);
  if (status === undefined) return { state: 'missing', why: 'it does not exist' };
  if (!isDirectory(status)) return failed('it is not a directory');
  const isOwn = (mount: Mount) => mount.type === 'overlay' && mount.source === 'immutafs';
  return mounts.some((mount) => mount.target.startsWith(`${whole}/`) && !isOwn(mount))
    ? failed('a file system is mounted below it, which an overlay would hide')
    : undefined;
}

function mount(run: Run, { target, options }: OverlayPath): Result {
  run.common ??= refusalOf(() => prepare(run))?.reason ?? '';
  if (run.common !== '') return failed(run.common);
  const { upper, work } = directoriesOf(target);
  const layers = { lower: `${rootView}${target}`, upper, work };
  const refusal = refusalOf(() => mountOverlay(run, `${run.root}${target}`, layers, options.join()));
  return refusal === undefined ? mounted : failed(refusal.reason);
}

/** Mounts the tmpfs and the view of the root, for the first overlay. */
function prepare(run: Run): void {
  const { native, reader, root } = run;
  loadOverlay(run);
  if (provideTmpfs(run)) run.undo.push(() => native.detach(layersTmpfs));
  if (mountAt(readMounts(reader), rootView) !== undefined) return;
  run.undo.push(() => native.detach(rootView));
  bindView(run, root === '' ? '/' : root, rootView);
}

function bindView({ native }: Pick<Boot, 'native'>, directory: string, view: string): void {
  makeDirectories(native, view);
  using(native, reopen(native, directory), (source) =>
    using(native, reopen(native, view), (target) =>
      onFile(`the bind mount of ${directory} failed`, () => native.bind(source, target, flagsOf('ro'))),
    ),
  );
}

// --- late boot -------------------------------------------------------------------------------------------------

/**
 * Mounts the overlay on a path whose file system the initramfs could not mount.
 * @returns false if it failed
 */
export function assembleOverlayLate(boot: Boot, state: Pick<BootState, 'disks'>, path: string): boolean {
  const item = overlayPaths(boot.config).find(({ target }) => target === path);
  const mounts = readMounts(boot.reader);
  if (item === undefined || mountAt(mounts, path)?.type === 'overlay') return true;
  const record = (result: Result) => appendBootEnv(boot, ...overlayLine({ path, ...result }));
  record({ state: 'begun', why: '' });
  let result = failed('');
  const refusal = refusalOf(() => {
    const found = findLower(boot, state, mounts, path);
    result = 'lower' in found ? mounted : found;
    if ('lower' in found) mountLate(boot, item, found);
  });
  if (refusal !== undefined) result = failed(refusal.reason);
  record(result);
  if (result.why !== '') boot.native.print(2, `immutafs: OVERLAY: ${path}: ${result.why}\n`);
  return result.state === 'overlay' || result.state === 'unneeded';
}

interface Lower {
  lower: string;
  /** The file system with the lower layer, and where it has to be mounted first. */
  view: { path: string; of: string | FstabLine } | undefined;
}

function findLower(
  boot: Boot,
  state: Pick<BootState, 'disks'>,
  mounts: readonly Mount[],
  path: string,
): Lower | Result {
  const { reader, fstab } = boot;
  const refusal = overlayRefusal(path);
  if (refusal !== undefined) return { state: 'refused', why: refusal };
  const link = linkIn(reader, '', path);
  if (link !== undefined) return link;
  const line = deviceLineOf(fstab, path);
  if (line !== undefined) return findVolume(boot, state, mountAt(mounts, path), line);
  return unusable(reader, mounts, '', path) ?? findView(boot, state, mounts, path);
}

/** A file system that fstab mounts on the path itself: it becomes the lower layer and is not mounted there. */
function findVolume(
  { reader }: Boot,
  state: Pick<BootState, 'disks'>,
  existing: Mount | undefined,
  line: FstabLine,
): Lower | Result {
  if (existing !== undefined)
    return failed(
      `it is mounted already (${existing.type}): remove x-initrd.mount from its line in /etc/fstab`,
    );
  if (!isBlock(reader.status(sourceFile(reader, line.source).file)))
    return failed(`${line.source} does not exist`);
  if (!isSealedSource(reader, state, line.source))
    return { state: 'unneeded', why: `it is on a disk that the host left writable (${line.source})` };
  const { lower } = directoriesOf(line.target);
  return { lower, view: { path: lower, of: line } };
}

/**
 * Whether a source in fstab belongs to the sealed system, that is, whether it is on a read-only disk or on a disk of the root
 * (MODE=sealed also seals a writable root).
 */
export function isSealedSource(
  reader: Boot['reader'],
  { disks }: Pick<BootState, 'disks'>,
  source: string,
): boolean {
  const own = disksOfSource(reader, source)?.disks ?? [];
  return own.some(({ name, readOnly }) => readOnly || disks.some((disk) => disk.name === name));
}

/** A directory of a file system that is mounted on the root or on a directory between. */
function findView(
  { reader, config }: Boot,
  state: Pick<BootState, 'disks'>,
  mounts: readonly Mount[],
  path: string,
): Lower | Result {
  const overlaid = overlayPaths(config).map(({ target }) => target);
  for (let above = path.slice(0, path.lastIndexOf('/')); ; above = above.slice(0, above.lastIndexOf('/'))) {
    const view = above === '' ? rootView : directoriesOf(above).lower;
    const lower = `${view}${path.slice(above.length)}`;
    if (mountAt(mounts, view) !== undefined) return { lower, view: undefined };
    const found = mountAt(mounts, above || '/');
    // A mount that is an overlay of OVERLAY hides the file system that is searched for.
    if (found !== undefined && !(found.type === 'overlay' && overlaid.includes(above)))
      return notSealed(reader, state, found) ?? { lower, view: { path: view, of: found.target } };
    if (above === '') return failed('its file system is unknown');
  }
}

/** Returns why a mount is not on the sealed disk; undefined if it is. The root counts as sealed, whatever its disks are. */
function notSealed(
  reader: Boot['reader'],
  { disks }: Pick<BootState, 'disks'>,
  found: Mount,
): Result | undefined {
  const { target, type } = found;
  if (target === '/') return undefined;
  if (type === 'overlay') return failed(`${target} is an overlay of another program`);
  const own = disksOfMount(reader, found);
  if (own.some(({ name, readOnly }) => readOnly || disks.some((disk) => disk.name === name)))
    return undefined;
  const last = own.at(-1);
  const why =
    last === undefined
      ? `${target} is ${type}, which is not on the system disk`
      : `${target} is on a disk that the host left writable (${last.name})`;
  return { state: 'unneeded', why };
}

function mountLate(boot: Boot, { target, options }: OverlayPath, { lower, view }: Lower): void {
  const { native } = boot;
  const undo: (() => void)[] = [];
  try {
    loadOverlay(boot);
    if (provideTmpfs(boot)) undo.push(() => native.detach(layersTmpfs));
    if (view !== undefined) {
      makeDirectories(native, view.path);
      undo.push(() => native.detach(view.path));
      if (typeof view.of === 'string') bindView(boot, view.of, view.path);
      else mountLowerVolume(boot, target, view.of, view.path, 'ro');
    }
    const { upper, work } = directoriesOf(target);
    mountOverlay(boot, target, { lower, upper, work }, options.join());
  } catch (error) {
    for (const step of undo.toReversed()) refusalOf(step);
    throw error;
  }
  // The disk's own directory may have another label than the policy's file contexts, for example by chcon(1).
  copyLabel(boot, lower, target);
}
