import { persistItems } from '../../facts/boot/persist.ts';
import { decodeBytes } from '../../lib/format.ts';
import type { Snapshot } from '../engine/snapshot.ts';

/** units/persist-directory */
const program = '/usr/libexec/immutafs/persist-directory';
/** The limit for one path, in milliseconds. */
const limit = 5000;

/**
 * Returns a sentence for each path of PERSIST that a boot would not keep, with what to do. The script of the boot
 * decides; with `check`, it changes nothing.
 */
export async function findUnkeptPaths({ reader, config }: Snapshot): Promise<string[]> {
  const found: string[] = [];
  for (const { path } of persistItems(config)) {
    const { stdout, ended } = await reader.run(program, ['check', path], limit);
    if (ended === 'good') continue;
    const [, reason, remedy] = /^REASON=(.*)\nREMEDY=(.*)\n$/.exec(decodeBytes(stdout)) ?? [];
    found.push(
      reason === undefined || remedy === undefined
        ? `${path} of PERSIST could not be checked: run \`${program} check ${path}\`.`
        : `${path} of PERSIST would not be kept: ${reason}. ${remedy}`,
    );
  }
  return found;
}
