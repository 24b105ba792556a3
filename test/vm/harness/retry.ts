import { rename, rm } from 'node:fs/promises';
import { execa } from 'execa';
import type { Drive, Machine } from './qemu.ts';
import { EmulatorFault, runMachine } from './run.ts';
import type { Limits, Outcome } from './run.ts';

/** At one fault in a hundred boots, three in a row are one in a million. */
const attempts = 3;

/**
 * Runs a machine as `runMachine` does, and over again where QEMU itself gave up: now and then QEMU 10 aborts with
 * "iotlb_to_section: Assertion `section_index < d->map.sections_nb' failed". What that try wrote to the disks is
 * taken back before the next one, so that a boot is what the scenario asked for, whatever it is.
 *
 * @param limits called for each try
 * @throws EmulatorFault where it happens each time; whatever else `runMachine` throws
 */
export async function runWithRetry(machine: Machine, folder: string, limits: () => Limits): Promise<Outcome> {
  const written = machine.drives.filter(({ readOnly }) => !readOnly);
  for (const drive of written) await execa('cp', [...sparse, drive.file, before(drive)]);
  for (let left = attempts - 1; ; left--) {
    try {
      const outcome = await runMachine(machine, folder, limits());
      for (const drive of written) await rm(before(drive));
      return outcome;
    } catch (error) {
      if (!(error instanceof EmulatorFault) || left === 0) throw error;
      for (const drive of written) await restore(drive);
    }
  }
}

const sparse = ['--sparse=always', '--reflink=auto'];

function before({ file }: Drive): string {
  return `${file}.before`;
}

async function restore(drive: Drive): Promise<void> {
  const copy = `${drive.file}.again`;
  await execa('cp', [...sparse, before(drive), copy]);
  await rename(copy, drive.file);
}
