import type { Impostor } from '../agent/facts/boot/boot-env.ts';
import { onFile } from '../agent/lib/errors.ts';
import type { Context } from './command.ts';

const file = '/run/immutafs/impostors';

/**
 * Records an impostor that the boot found and did not use. boot.env includes the lines.
 * @param isInUse whether it could not be kept out
 */
export function noteImpostor(
  context: Context,
  { device, sealedDevice, identity }: Impostor,
  isInUse = false,
): void {
  const { native } = context;
  const line = `IMPOSTOR=${device} ${sealedDevice} ${identity}\n`;
  const lines = impostorLines(context);
  if (`\n${lines}`.includes(`\n${line}`)) return;
  native.makeDirectory('/run/immutafs');
  onFile(file, () => native.write(file, `${lines}${line}`));
  if (!isInUse)
    native.print(
      2,
      `immutafs: warning: ${device} has the same ${identity} as the sealed device ${sealedDevice} and is not used\n`,
    );
}

/** Returns the lines of boot.env about the impostors. */
export function impostorLines({ reader }: Pick<Context, 'reader'>): string {
  return reader.readIfPresent(file) ?? '';
}
