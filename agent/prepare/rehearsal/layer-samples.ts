import { unlessHostError } from '../../lib/errors.ts';
import { decodeBytes } from '../../lib/format.ts';
import { bootEnvFile, parseBootEnv } from '../../facts/boot/boot-env.ts';
import { layersOf } from '../../facts/boot/layers.ts';
import { findLargestFiles } from '../../facts/largest-files.ts';
import { mountTable } from '../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Sample } from './growth.ts';

/** The tmpfs with the upper layers of all overlays. */
const tmpfs = '/run/var';

/**
 * Measures the tmpfs and the largest files of each layer.
 * @returns undefined if there is no layer, as in a boot whose /var could not be assembled
 */
export function takeSample(reader: SystemReader): Sample | undefined {
  return unlessHostError(() => {
    const mounts = mountTable(reader.read('/proc/self/mountinfo', 64 * 1024 * 1024));
    if (mounts.serving(tmpfs)?.target !== tmpfs) return undefined;
    const text = reader.readRecord(bootEnvFile, 'root', 65536);
    const layers = layersOf(text === undefined ? undefined : parseBootEnv(decodeBytes(text)));
    const isMount = (folder: string) => mounts.at(folder).length > 0;
    const largest = layers
      .filter(({ target }) => mounts.serving(target)?.type === 'overlay')
      .flatMap(
        ({ target, upper }) =>
          unlessHostError(() => findLargestFiles(reader, [{ target, upper }], isMount)) ?? [],
      );
    return { at: reader.environment().seconds, usage: reader.usage(tmpfs), largest };
  });
}
