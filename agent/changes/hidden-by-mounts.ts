import { findUnexplainedMounts } from '../assess/unexplained-mounts.ts';
import { readConfig } from '../config/config.ts';
import type { BootEnv } from '../facts/boot/boot-env.ts';
import { layersOf } from '../facts/boot/layers.ts';
import { overlaysOf } from '../facts/boot/overlays.ts';
import { parseFstab, readFstabText } from '../facts/mounts/fstab.ts';
import { readMountUnits } from '../facts/mounts/mount-units.ts';
import { type MountTable, isBelow } from '../facts/mounts/mountinfo.ts';
import type { Observed } from '../facts/observed.ts';
import { SystemError, errorMessage } from '../lib/errors.ts';
import type { SystemReader } from '../system/reader.ts';
import { type Unknown, bytesOf } from './change.ts';
import { type WritableLayer, optionOf } from './layers.ts';

/**
 * Returns an error for each mount over files of a layer or of the sealed disk that nothing on the sealed disk explains
 * (the check stacked-mounts): what is in it is in no layer.
 * @param reader does not access file systems that may hang (facts/mounts/hang-safe.ts)
 */
export function hiddenByMounts(
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
