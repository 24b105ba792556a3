import { once } from '../lib/cached.ts';
import { SystemError, errorMessage, isAbsent } from '../lib/errors.ts';
import { hangSafe } from '../facts/mounts/hang-safe.ts';
import { type MountTable, isBelow, readMountTable, optionOf } from '../facts/mounts/mountinfo.ts';
import { readBootEnv, type BootEnv } from '../facts/boot/boot-env.ts';
import { openDirectory } from '../system/layers/directory.ts';
import { findScratchDevice } from '../facts/boot/scratch.ts';
import { observe, valueOf, type Observed } from '../facts/observed.ts';
import { listSessions } from '../facts/sessions.ts';
import { bootStateFile, bootTime, describeClock, readBootState } from '../facts/records.ts';
import { findDisks } from '../facts/disks/disks.ts';
import { readIdentity } from '../facts/identity.ts';
import { homesSince, walkHomes } from './homes.ts';
import { type XattrReader, xattrReader } from '../system/layers/xattrs.ts';
import type { SystemReader } from '../system/reader.ts';
import { type Report, type Selection, type Unknown, bytesOf } from './change.ts';
import { type WritableLayer, findLayers, readDefaultMetacopy, whyNoLayer } from './layers.ts';
import { startPlaces } from '../facts/security/places.ts';
import { type OpenLayer, closing } from './walk/place.ts';
import { walkLayer } from './walk/walk.ts';
import { findUnexplainedMounts } from '../assess/unexplained-mounts.ts';
import { readConfig } from '../config/config.ts';
import { layersOf, overlaysOf } from '../facts/boot/overlays.ts';
import { parseFstab, readFstabText } from '../facts/mounts/fstab.ts';
import { readMountUnits } from '../facts/mounts/mount-units.ts';

/** The layers of this guest, ready to be compared. */
export type Comparison = ReturnType<typeof compareLayers>;

/** @throws SystemError if the mounts cannot be read, or if there is no layer and none of the intended reasons for it */
export function compareLayers(reader: SystemReader) {
  const mounts = readMountTable(reader);
  const bootEnv = observe(() => readBootEnv(reader));
  const scratch = valueOf(observe(() => findScratchDevice(reader, mounts)));
  const found = findLayers(mounts, bootEnv, readDefaultMetacopy(reader), scratch);
  const state = observe(() => readBootState(reader, readIdentity(reader).bootId));
  const clock = 'value' in state && state.value ? describeClock(state.value, bootTime(reader)) : undefined;
  if (clock !== undefined) found.notes.push(`${clock}, so times of files can be wrong or forged`);
  if ('error' in state) found.problems.push(`${bootStateFile}: ${state.error}`);
  for (const { id, user } of valueOf(observe(() => listSessions(reader))) ?? [])
    found.notes.push(
      `session ${id} of ${user} has changes of its own, which no other process sees: they are not compared, and discarded at its end`,
    );
  const homes = 'value' in state ? state.value?.homes : undefined;
  return {
    ...found,
    mounts,
    /** Why there is no layer by intent (maintenance mode); undefined if there are layers. */
    noLayer:
      found.layers.length > 0
        ? undefined
        : whyNoLayer(bootEnv, () => observe(() => findDisks(reader, mounts.all))),
    /**
     * Compares every layer, and the places in /run and the home directories from which programs are started.
     * @throws Error if nothing can be compared
     */
    run: async (selected: Selection, report: Report): Promise<void> => {
      for (const each of hiddenByMounts(hangSafe(reader, mounts), mounts, bootEnv, found.layers))
        if (selected.leadsTo(each.path)) await report(each);
      const xattrs = xattrReader();
      try {
        await walkRun(xattrs, selected, report);
        for (const layer of found.layers) {
          if (selected.leadsTo(bytesOf(layer.target))) await compareLayer(layer, xattrs, selected, report);
        }
        const isCompared = (path: string) => found.layers.some(({ target }) => isBelow(path, target));
        const isOther = homesSince(homes, mounts);
        await walkHomes(hangSafe(reader, mounts), bootTime(reader), isOther, isCompared, selected, report);
      } finally {
        xattrs.close();
      }
    },
  };
}

/**
 * Directories in /run from which systemd and udev start programs. /run is empty at boot, so each of their files is new
 * since then, although no layer contains it.
 */
export const runPlaces = once((): readonly string[] =>
  startPlaces()
    .map(({ path }) => path)
    .filter((path) => path.startsWith('/run/')),
);

/** Reports every file in `runPlaces` as added. @throws the errors of walkLayer */
async function walkRun(xattrs: XattrReader, selected: Selection, report: Report): Promise<void> {
  for (const place of runPlaces()) {
    if (!selected.leadsTo(place)) continue;
    let upper;
    try {
      upper = openDirectory(place);
    } catch (error) {
      if (!isAbsent(error)) await report({ path: place, layer: '/run', error: errorMessage(error) });
      continue;
    }
    const layer = { target: place, upper, lower: undefined, metacopy: false };
    const reportRun: Report = (found) => report({ ...found, layer: '/run' }, layer);
    await closing(upper, () => walkLayer(layer, xattrs, selected, reportRun));
  }
}

async function compareLayer(
  { target, upper, lower, metacopy, problems, reachable }: WritableLayer,
  xattrs: XattrReader,
  selected: Selection,
  report: Report,
): Promise<void> {
  const path = bytesOf(target);
  for (const error of problems) await report({ path, layer: path, error });
  if (!reachable) return;
  const opened: OpenLayer[] = [];
  try {
    const own = openDirectory(upper);
    const layer = { target: path, upper: own, lower: undefined, metacopy };
    opened.push(layer);
    const whole = { ...layer, lower: openDirectory(lower) };
    opened.push(whole);
    await walkLayer(whole, xattrs, selected, (found) => report(found, whole));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    await report({ path, layer: path, error: errorMessage(error) });
  } finally {
    for (const each of opened) (each.lower ?? each.upper).close();
  }
}

/**
 * Returns an error for each mount over files of a layer or of the sealed disk that nothing on the sealed disk explains
 * (the check stacked-mounts): what is in it is in no layer.
 * @param reader does not access file systems that may hang (facts/mounts/hang-safe.ts)
 */
function hiddenByMounts(
  reader: SystemReader,
  mounts: MountTable,
  bootEnv: Observed<BootEnv | undefined>,
  layers: readonly WritableLayer[],
): Unknown[] {
  try {
    const { config } = readConfig(reader);
    const found = findUnexplainedMounts({
      ...{ mounts, config, overlays: overlaysOf(config, mounts), mountUnits: readMountUnits(reader) },
      fstab: parseFstab(readFstabText(reader) ?? '').lines,
      layers: [...layers, ...layersOf('value' in bootEnv ? bootEnv.value : undefined)],
    });
    const over = layers.flatMap(({ target, upper }) => {
      const mount = mounts.serving(target);
      return mount?.target !== target || optionOf(mount, 'upperdir') === upper ? [] : [{ mount }];
    });
    return [...over, ...found].map(({ mount }) => {
      const layer = layers.find(({ target }) => isBelow(mount.target, target))?.target ?? '/';
      const error = `${mount.type} (${mount.source}) is mounted here, which neither fstab nor the boot did: its files are not compared. Examine them, or unmount it`;
      return { path: bytesOf(mount.target), layer: bytesOf(layer), error: bytesOf(error) };
    });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return [{ path: '/', layer: '/', error: `mounts that hide files are not known: ${errorMessage(error)}` }];
  }
}
