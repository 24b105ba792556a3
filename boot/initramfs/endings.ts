/** How the boot ends. The hook of the initramfs acts on the exit codes (dracut/95immutafs/immutafs-pre-pivot.sh). */
import { configFile } from '../../agent/config/parse.ts';
import { type Early, printToKernelLog } from '../guest/command.ts';
import { readConfig } from '../guest/config.ts';
import type { Ending } from '../identity/identity.ts';

/** The boot continues, although /var could not be assembled (ON_FAILURE=degraded). */
export const DEGRADED = 1;
/** ON_FAILURE=emergency and ON_FAILURE=poweroff. */
export const [EMERGENCY, POWEROFF] = [10, 11];
/** The system is, or may be, mounted from an impostor of the sealed disk: ON_IMPOSTOR=emergency and ON_IMPOSTOR=poweroff. */
export const [IMPOSTOR_EMERGENCY, IMPOSTOR_POWEROFF] = [12, 13];

/** These codes, for the documentation of the commands. */
export const codes =
  '0: done, or nothing to do; 1: /var could not be assembled, and the boot continues (ON_FAILURE=degraded); 10, 11: likewise, and ON_FAILURE is emergency or poweroff';

/** @param onFailure the value of ON_FAILURE */
export function failureCode(onFailure: string): number {
  if (onFailure === 'degraded') return DEGRADED;
  return onFailure === 'emergency' ? EMERGENCY : POWEROFF;
}

/**
 * Reports why the boot ends. Reads the configuration in the initramfs, not that of the mounted root.
 * @returns the exit code
 */
export function endForImpostor(boot: Early, { target, mounted, why, remedy }: Ending): number {
  const { ON_IMPOSTOR } = readConfig(boot.reader, configFile).values;
  printToKernelLog(
    boot,
    `immutafs: ${target} is mounted from /dev/${mounted || 'unknown'}, ${why}. The boot ends (ON_IMPOSTOR=${ON_IMPOSTOR}). ${remedy} To boot from it anyway, add immutafs=off to the kernel command line.`,
  );
  return ON_IMPOSTOR === 'emergency' ? IMPOSTOR_EMERGENCY : IMPOSTOR_POWEROFF;
}
