import * as assert from 'uvu/assert';
import type { Boot, BootOptions, Guest } from './guest.ts';

/**
 * Boots a guest for which `prepare` has recorded moves. The boot makes them and reboots, which ends QEMU before any step
 * runs.
 *
 * @throws if the guest does anything else
 */
export async function moveBoot(guest: Guest, options: Omit<BootOptions, 'disk' | 'steps'>): Promise<Boot> {
  const boot = await guest.boot({ ...options, disk: 'writable', steps: { ordinary: 'true' } });
  const console = boot.console.slice(-5000);
  assert.is(boot.endedBy, 'poweroff', console);
  assert.not(boot.done, `an ordinary boot: ${console}`);
  assert.match(boot.console, /immutafs: rebooting$/m, console);
  return boot;
}
