import { rename, rm } from 'node:fs/promises';
import { execa } from 'execa';
import type { Drive, Machine } from './qemu.ts';
import { EmulatorFault, runMachine } from './run.ts';
import type { Limits, Outcome } from './run.ts';

/** The emulation fails in about one of 100 boots, so three failures in succession happen once in a million. */
const attempts = 3;

/**
 * Runs a machine and retries if the emulation fails: QEMU 10 occasionally aborts with "iotlb_to_section: Assertion
 * `section_index < d->map.sections_nb' failed", or the guest's clock runs too fast. The disks are restored before each
 * retry.
 *
 * @param limits called for each attempt
 * @throws EmulatorFault if the emulation fails in each attempt; also every other error of `runMachine`
 */
export async function runWithRetry(machine: Machine, folder: string, limits: () => Limits): Promise<Outcome> {
  const written = machine.drives.filter(({ readOnly }) => !readOnly);
  for (const drive of written) await execa('cp', [...sparse, drive.file, backupOf(drive)]);
  for (let left = attempts - 1; ; left--) {
    try {
      const outcome = await runMachine(machine, folder, limits());
      for (const drive of written) await rm(backupOf(drive));
      return outcome;
    } catch (error) {
      if (!(error instanceof EmulatorFault) || left === 0) throw error;
      for (const drive of written) await restore(drive);
    }
  }
}

const sparse = ['--sparse=always', '--reflink=auto'];

function backupOf({ file }: Drive): string {
  return `${file}.before`;
}

async function restore(drive: Drive): Promise<void> {
  const copy = `${drive.file}.again`;
  await execa('cp', [...sparse, backupOf(drive), copy]);
  await rename(copy, drive.file);
}
