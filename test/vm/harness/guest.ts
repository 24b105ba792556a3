import { join } from 'node:path';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { kernelArguments, withoutExtraUnits } from './arguments.ts';
import { makeOutBox, openOutBox, writeInBox } from './box.ts';
import { copyDisks, damageDisks, editDisks } from './disk.ts';
import type { Edit } from './disk.ts';
import { bootFilesIn } from './kernel.ts';
import type { BootFiles } from './kernel.ts';
import { type Attachment, checksum, guestDrives, readBoot, saveDisks } from './layers.ts';
import type { Layout } from './layout.ts';
import type { Moment } from './moment.ts';
import { labelFiles } from './mounts.ts';
import type { Drive, Machine } from './qemu.ts';
import { isRhel } from './release.ts';
import { withRunFolder } from './run-folder.ts';
import type { End, Report, Step } from './run.ts';
import { runWithRetry } from './retry.ts';
import type { Template } from './template.ts';

/** A guest with its disks. Their content is kept between boots. */
export interface Guest {
  /** The default kernel and initramfs of a boot. */
  bootFiles: BootFiles;
  boot: (options: BootOptions) => Promise<Boot>;
  /** Returns the kernel, and the initramfs that a boot loader reads from the current content of the disk. */
  bootFilesOnDisk: () => Promise<BootFiles>;
  /** Writes the current content of the disks to a folder. */
  save: (folder: string) => Promise<void>;
  /** Returns the SHA-256 of the current content of the system disk. */
  checksum: () => Promise<string>;
}

export interface GuestOptions {
  template: Template;
  /** Changes the disk before the first boot. */
  edit?: Edit | undefined;
  /** Shell text by target of an unmounted volume, run before the first boot; $1 is the volume's device. */
  damage?: Record<string, string> | undefined;
}

/** Options of a boot: of the disks, of the machine, and of what it runs. */
export interface BootOptions
  extends Attachment, Partial<Omit<Machine, 'boot' | 'arguments' | 'drives' | 'durable'>> {
  /** Shell text by step. `sh` runs each one after the boot has finished, even if an earlier step failed. */
  steps?: Record<string, string>;
  /** Additional kernel arguments. */
  arguments?: string[];
  /** Whether to start all units of the guest, also those that most scenarios do not need (`arguments.ts`). */
  allUnits?: boolean;
  /** Files for the guest, by their name in its `$BOX`. */
  files?: Record<string, string>;
  /** A folder of this machine that receives the content of the guest's `$OUT`. */
  outTo?: string;
  /** Replaces the default kernel and initramfs. */
  bootFiles?: BootFiles;
  /** Additional disks. */
  drives?: Drive[];
  /** Cuts the power when this step has ended. */
  powerCutAfter?: string;
  /** Cuts the power at this moment. */
  powerCutAt?: Moment;
  /** Called once, when this step has ended. */
  afterStep?: { name: string; call: () => void };
  /**
   * Lets the UEFI firmware start the boot loader of a disk: of the one that its variables name, or of the system disk,
   * as with libvirt's `<boot order='1'/>`. By default, QEMU starts `bootFiles`.
   */
  bootOrder?: 'variables' | 'system disk';
  /** Limit of the run, in seconds of this machine's time. */
  limitSeconds?: number;
}

export interface Boot {
  endedBy: End;
  /** Whether all steps have run. */
  done: boolean;
  /** `initramfs` or `system` if the guest ended in `emergency`. */
  emergency: string | null;
  /** @throws if the step did not run; the message contains the end of the console */
  step: (name: string) => Step;
  console: string;
  seconds: number;
}

/** Calls `work` with a guest that has its own disks. */
export async function withGuest<T>(options: GuestOptions, work: (guest: Guest) => Promise<T>): Promise<T> {
  const { template, edit, damage } = options;
  return withRunFolder(async (folder) => {
    const disks = edit || damage ? await copyDisks(template.disks, folder) : template.disks;
    if (edit) {
      await editDisks(disks, async (root, mounts) => {
        await edit(root, mounts);
        // Guests with RHEL's kernel always enforce the policy.
        if (isRhel(template.layout.release)) await labelFiles(mounts, '/');
      });
    }
    if (damage) await damageDisks(disks, damage);
    let boots = 0;
    return work({
      bootFiles: template.bootFiles,
      boot: async (boot) => {
        const bootFolder = join(folder, `boot-${boots++}`);
        await mkdir(bootFolder);
        const drives = await guestDrives(disks, boot, folder);
        return bootGuest(template.layout, { bootFiles: template.bootFiles, ...boot }, drives, bootFolder);
      },
      bootFilesOnDisk: async () => {
        const found = await mkdtemp(join(folder, 'boot-files-'));
        await readBoot(disks, folder, found);
        return bootFilesIn(found, template.bootFiles.kernel);
      },
      save: (target) => saveDisks(disks, folder, target),
      checksum: () => checksum(disks, folder),
    });
  });
}

async function bootGuest(
  layout: Layout,
  options: BootOptions & { bootFiles: BootFiles },
  systemDrives: Drive[],
  folder: string,
): Promise<Boot> {
  const box = (serial: string): string => join(folder, serial);
  await writeInBox({ steps: options.steps ?? {}, files: options.files ?? {} }, box('vmtest-in'));
  if (options.outTo !== undefined) await makeOutBox(box('vmtest-out'));
  const plain = { format: 'raw', bus: 'virtio-blk' } as const;
  const boxes: Drive[] = [{ serial: 'vmtest-in', file: box('vmtest-in'), readOnly: true, ...plain }];
  if (options.outTo !== undefined) {
    boxes.push({ serial: 'vmtest-out', file: box('vmtest-out'), readOnly: false, ...plain });
  }
  const [system, ...others] = systemDrives;
  if (options.bootOrder === 'system disk' && system) systemDrives = [{ ...system, bootIndex: 1 }, ...others];
  const machine: Machine = {
    ...{ memoryMiB: 1024, processors: 1, time: 'real' },
    ...options,
    boot: options.bootOrder === undefined ? options.bootFiles : null,
    arguments: [
      ...kernelArguments(layout),
      ...(options.allUnits === true ? [] : withoutExtraUnits),
      ...(options.arguments ?? []),
    ],
    drives: [...systemDrives, ...boxes, ...(options.drives ?? [])],
    durable: options.powerCutAfter !== undefined || options.powerCutAt !== undefined,
  };
  const cut = options.powerCutAfter;
  const outcome = await runWithRetry(machine, folder, () => ({
    seconds: options.limitSeconds ?? 500,
    powerCut: cut === undefined ? undefined : (report: Report) => report.steps.has(cut),
    powerCutAt: options.powerCutAt,
    onReport: options.afterStep === undefined ? undefined : once(options.afterStep),
  }));
  if (options.outTo !== undefined && outcome.report.done) await openOutBox(box('vmtest-out'), options.outTo);
  const { report, ...rest } = outcome;
  return { ...rest, done: report.done, emergency: report.emergency, step };

  function step(name: string): Step {
    const found = report.steps.get(name);
    if (found) return found;
    throw new Error(
      `step ${name} did not run; the guest ended by ${rest.endedBy} and its console with:\n${tail()}`,
    );
  }

  function tail(): string {
    return rest.console.split('\n').slice(-60).join('\n');
  }
}

function once({ name, call }: { name: string; call: () => void }): (report: Report) => void {
  let called = false;
  return (report) => {
    if (called || !report.steps.has(name)) return;
    called = true;
    call();
  };
}
