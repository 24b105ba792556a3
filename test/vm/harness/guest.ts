import { join } from 'node:path';
import { execa } from 'execa';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { kernelArguments } from './arguments.ts';
import { makeOutBox, openOutBox, writeInBox } from './box.ts';
import { copyDisks, disksOf, editDisks } from './disk.ts';
import type { Disks, Edit } from './disk.ts';
import { bootFilesIn } from './kernel.ts';
import type { BootFiles } from './kernel.ts';
import type { Layout } from './layout.ts';
import type { Bus, Drive } from './qemu.ts';
import { withRunFolder } from './run-folder.ts';
import { runMachine } from './run.ts';
import type { End, Step } from './run.ts';

/** A guest with its disks; what a boot writes to them is there at its next boot. */
export interface Guest {
  boot: (options: BootOptions) => Promise<Boot>;
}

export interface GuestOptions {
  layout: Layout;
  /** The folder of a tree; see `ordinaryTree`. */
  tree: string;
  /** Changes the disk before the first boot. */
  edit?: Edit | undefined;
}

export interface BootOptions {
  /** What the host does with the operating system's disk. */
  disk: 'readonly' | 'writable';
  bus?: Bus;
  /** Shell text by step; each runs when the guest has settled, with `sh`, whatever the one before did. */
  steps?: Record<string, string>;
  /** Further kernel arguments. */
  arguments?: string[];
  /** Files for the guest by their name in its `$BOX`. */
  files?: Record<string, string>;
  /** A folder of this machine that receives what the guest puts into its `$OUT`. */
  outTo?: string;
  /** Another kernel and initramfs than those of the tree. */
  bootFiles?: BootFiles;
  /** Further disks. */
  drives?: Drive[];
  memoryMiB?: number;
  processors?: number;
  time?: 'real' | 'counted';
  /** Cuts the power when this step has ended. */
  powerCutAfter?: string;
  /** The run is ended after so many seconds of this machine's time. */
  limitSeconds?: number;
}

export interface Boot {
  endedBy: End;
  /** Every step ran. */
  done: boolean;
  /** Where the guest gave up, if it ended in `emergency`. */
  emergency: string | null;
  /** @throws if the step did not run; the message has the end of the console */
  step: (name: string) => Step;
  console: string;
  seconds: number;
}

/** Calls `work` with a guest whose disks are there only for it. */
export async function withGuest<T>(options: GuestOptions, work: (guest: Guest) => Promise<T>): Promise<T> {
  const shared = await disksOf(options.layout, options.tree);
  const treeBoot = await bootFilesIn(join(options.tree, 'root/boot'), join(options.tree, 'vmlinux'));
  return withRunFolder(async (folder) => {
    const disks = options.edit ? await copyDisks(shared, folder) : shared;
    if (options.edit) await editDisks(disks, options.edit);
    let boots = 0;
    return work({
      boot: async (boot) => {
        const bootFolder = join(folder, `boot-${boots++}`);
        await mkdir(bootFolder);
        const drives = await guestDrives(disks, boot, folder);
        return bootGuest(options.layout, { bootFiles: treeBoot, ...boot }, drives, bootFolder);
      },
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
  const machine = {
    boot: options.bootFiles,
    arguments: [...kernelArguments(layout), ...(options.arguments ?? [])],
    drives: [...systemDrives, ...boxes, ...(options.drives ?? [])],
    memoryMiB: options.memoryMiB ?? 1024,
    processors: options.processors ?? 2,
    time: options.time ?? 'real',
    durable: options.powerCutAfter !== undefined,
  };
  const cut = options.powerCutAfter;
  const outcome = await runMachine(machine, folder, {
    seconds: options.limitSeconds ?? 240,
    powerCut: cut === undefined ? undefined : (report) => report.steps.has(cut),
  });
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

/** The shared images stay as they are: what a guest writes goes to layers of its own. */
async function guestDrives(
  disks: Disks,
  { disk, bus = 'virtio-blk' }: BootOptions,
  folder: string,
): Promise<Drive[]> {
  const used = new Set(disks.placements.map((placement) => placement.disk));
  const drives: Drive[] = [];
  for (const serial of used) {
    const layer = join(folder, `${serial}.qcow2`);
    if (!existsSync(layer)) {
      const backing = ['-b', disks.images[serial], '-F', 'raw'];
      await execa('qemu-img', ['create', '-q', '-f', 'qcow2', ...backing, layer]);
    }
    const readOnly = serial === 'system' && disk === 'readonly';
    drives.push({ serial, file: layer, format: 'qcow2', readOnly, bus });
  }
  return drives;
}
