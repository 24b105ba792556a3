import * as assert from 'uvu/assert';
import { late } from './impostor.ts';
import { type Boot, assertSealed, look } from './scenario.ts';

/** vda is the system disk, vdb has /home, vdc is the harness's input, vdd is the copy. */
export const copyFirst = late('vda*');
export const sealedFirst = late('vdd*');

/** Steps for a boot with a copy of the system disk. */
export const steps = {
  ...look,
  planted: 'ls /etc/planted /run/planted /usr/planted /var/planted /opt/planted',
  env: 'cat /run/immutafs/boot.env',
  // Prints the disk from which / is mounted.
  disks: 'lsblk -nso TYPE,NAME "$(findmnt -no SOURCE /)" | tail -n 1',
};

/** Asserts that the guest runs from the sealed disk, that nothing of the copy runs, and that every check passes. */
export function assertGenuine(boot: Boot): void {
  assert.is(boot.step('planted').stdout, '');
  assert.not.match(boot.console, /PLANTED/);
  assertSealed(boot);
}

/** Returns the copies that the boot recorded and did not use, each as "device sealed-device identity". */
export function rejected(boot: Boot): string[] {
  const lines = boot.step('env').stdout.split('\n');
  return lines.flatMap((line) => /^IMPOSTOR=(.*)/.exec(line)?.[1] ?? []);
}
