import { observeAsync } from '../../facts/observed.ts';
import { formatBytes } from '../../lib/format.ts';
import { namesIfThere } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import {
  type CpioFile,
  type Kernel,
  readImage,
  installedKernels,
  isOlderThanModules,
} from './initramfs/image.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { type Planned, stepOf, when } from '../engine/part.ts';
import type { ActionOf } from '../engine/context.ts';
import type { Action } from '../engine/step.ts';

const scriptFolder = '/usr/libexec/immutafs';
const moduleSetup = '/usr/lib/dracut/modules.d/95immutafs/module-setup.sh';

/**
 * Plans the step `initramfs`: the image of every kernel contains the current modules of the kernel, the scripts of this
 * version and the overlay driver.
 */
export async function planInitramfs({ reader, mounts }: Snapshot): Promise<Planned> {
  const scripts = installedScripts(reader);
  if (scripts.size === 0)
    return stepOf('blocked', [`${scriptFolder} is missing: install the package immutafs-agent.`]);
  const kernels = installedKernels(reader);
  if (kernels.length === 0) return stepOf('blocked', ['There is no kernel in /boot or /usr/lib/modules.']);
  const wrong: { kernel: Kernel; fault: string }[] = [];
  for (const kernel of kernels) {
    const fault = await faultOf(reader, kernel, scripts);
    if (fault !== undefined) wrong.push({ kernel, fault });
  }
  if (wrong.length === 0) {
    const names = kernels.map(({ version }) => version).join(', ');
    return stepOf('done', [`The initramfs of ${names} has the scripts and the overlay driver.`]);
  }
  const without = wrong.filter(({ kernel }) => !hasModules(reader, kernel));
  const why = [
    ...wrong.map(({ kernel, fault }) => `${kernel.image} ${fault}.`),
    ...without.map(
      ({ kernel: { version } }) =>
        `dracut can make no image for ${version}, because there is no /usr/lib/modules/${version}: remove /boot/vmlinuz-${version} and its entry in the boot menu, or install the package of the kernel again.`,
    ),
  ];
  if (without.length === wrong.length) return stepOf('by hand', why);
  if (reader.stat('/usr/bin/dracut') === undefined) {
    return stepOf('blocked', [...why, 'dracut is not installed: install it.']);
  }
  const wanted = wrong.filter((each) => !without.includes(each)).map(({ kernel }) => kernel);
  const space = spaceProblem(reader, wanted);
  if (space !== undefined) return stepOf('blocked', [...why, space]);
  const isImage = reader.image !== undefined;
  const actions = wanted.flatMap((kernel) => regeneration(kernel, isImage));
  // Whoever builds an image unmounts its file systems, which writes the journal of /boot as well.
  const isFlushed = !isImage && mounts.serving('/boot')?.target === '/boot';
  return stepOf('needed', why, [...actions, ...when(isFlushed, flushBoot)]);
}

/** Whether the modules of a kernel are there, without which dracut(8) ends with an error. */
function hasModules(reader: SystemReader, { version }: Kernel): boolean {
  return ['/usr/lib/modules', '/lib/modules'].some((each) => reader.stat(`${each}/${version}`) !== undefined);
}

/**
 * Returns the content of each program and script that our dracut module installs, by its path in an initramfs. Those that only
 * the late boot uses are not included.
 */
function installedScripts(reader: SystemReader): ReadonlyMap<string, string> {
  const named = (reader.readIfPresent(moduleSetup) ?? '').split(/[^\w.-]+/);
  const names = namesIfThere(reader, scriptFolder).filter((name) => named.includes(name));
  const scripts = names.map((name) => {
    const file = `${scriptFolder}/${name}`;
    return [file.slice(1), reader.read(file)] as const;
  });
  return new Map(scripts);
}

/**
 * Checks the initramfs of a kernel.
 * @returns the problem, as the predicate of a sentence; undefined if there is none
 */
async function faultOf(
  reader: SystemReader,
  kernel: Kernel,
  scripts: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  const { version, image } = kernel;
  if (reader.stat(image) === undefined) return 'does not exist';
  if (isOlderThanModules(reader, kernel)) return `is older than the modules of ${version}`;
  const isWanted = (name: string) => scripts.has(name) || buildParameters.test(name);
  const found = await observeAsync(() => readImage(reader, image, isWanted));
  if ('error' in found) return `cannot be read: ${found.error}`;
  const files = found.value;
  if (reader.image !== undefined && isHostOnly(files)) return 'was made for the machine that built it';
  const hasHook = files.some(({ name }) => /hooks\/pre-pivot\/\d+-immutafs-pre-pivot\.sh$/.test(name));
  const missing = [
    ...when(!hasHook, 'the hook of this package'),
    ...when(hasHook && !hasScripts(files, scripts), 'the scripts of this version'),
    ...when(!hasOverlay(reader, version, files), 'the overlay driver'),
  ];
  return missing.length === 0 ? undefined : `lacks ${missing.join(' and ')}`;
}

/** The options with which dracut has made an initramfs. */
const buildParameters = /^(usr\/)?lib\/dracut\/build-parameter\.txt$/;

/**
 * Whether dracut has made an initramfs for the machine on which it ran (dracut(8), --hostonly): it lists the files of that
 * machine. A list in an initramfs that was made with --no-hostonly is from a module that ignores the option.
 */
function isHostOnly(files: readonly CpioFile[]): boolean {
  const isGeneric = files.some(
    ({ name, text }) => buildParameters.test(name) && text?.includes('--no-hostonly') === true,
  );
  return !isGeneric && files.some(({ name }) => /^(usr\/)?lib\/dracut\/hostonly-files$/.test(name));
}

/**
 * Whether all scripts are there, unchanged. An empty file is accepted, because an archive contains the content of a file
 * with hard links only once.
 */
function hasScripts(files: readonly CpioFile[], scripts: ReadonlyMap<string, string>): boolean {
  const inside = new Map(files.map(({ name, text }) => [name, text]));
  return [...scripts].every(
    ([name, text]) => inside.has(name) && ['', comparable(text)].includes(comparable(inside.get(name) ?? '')),
  );
}

/**
 * Returns the part of a file that is compared. dracut may strip a program: strip(1) writes the headers of the program and of its
 * sections again, which are at the beginning and at the end.
 */
function comparable(text: string): string {
  return text.startsWith('\x7fELF') ? text.slice(4096, -8192) : text;
}

function hasOverlay(reader: SystemReader, version: string, files: readonly CpioFile[]): boolean {
  const driver = /(^|\/)kernel\/fs\/overlayfs\/overlay\.ko(\.\w+)?$/;
  const builtin = () => reader.readIfPresent(`/usr/lib/modules/${version}/modules.builtin`) ?? '';
  return (
    files.some(({ name }) => driver.test(name)) ||
    builtin()
      .split('\n')
      .some((line) => driver.test(line))
  );
}

/**
 * Writes the journal of the file system of /boot to the disk. A boot loader does not read the journal. If the rename
 * were only in the journal, the boot loader would find the old image, whose blocks may already belong to another file.
 * Only a freeze writes the journal back; dracut freezes the file system after it has written an image, but not after
 * our rename. The shell ignores signals, so that Ctrl-C does not leave /boot frozen. FAT cannot be frozen, and has no
 * journal.
 */
export const flushBoot: ActionOf<'run'> = {
  do: 'run',
  program: '/bin/sh',
  args: [
    '-c',
    "trap '' INT TERM HUP; if /usr/sbin/fsfreeze -f /boot; then /usr/sbin/fsfreeze -u /boot; else /usr/bin/sync; fi",
  ],
  seconds: 600,
};

/**
 * Creates the new image beside the old one and then renames it, because dracut itself may lose both images in a power
 * cut. The initramfs of an image has the drivers of every machine, not those of the machine that builds the image.
 */
function regeneration(kernel: Kernel, isImage: boolean): Action[] {
  const { version, image } = kernel;
  const made = newImage(kernel);
  return [
    {
      ...{ do: 'run', program: '/usr/bin/dracut', seconds: 1800 },
      args: [...(isImage ? ['--no-hostonly'] : []), '--force', made, version],
    },
    { do: 'rename', from: made, to: image },
  ];
}

function newImage({ image }: Kernel): string {
  return image.replace(/([^/]+)$/, '.$1.immutafs');
}

/**
 * Reports that /boot has no space for a new image beside the old one. Images that an interrupted run left count as free
 * space, because they are overwritten.
 */
function spaceProblem(reader: SystemReader, kernels: readonly Kernel[]): string | undefined {
  const largest = Math.max(0, ...kernels.map(({ image }) => reader.stat(image)?.bytes ?? 0));
  const reusable = kernels.reduce((sum, kernel) => sum + (reader.stat(newImage(kernel))?.bytes ?? 0), 0);
  const { sizeBytes, usedBytes } = reader.usage('/boot');
  const [free, needed] = [sizeBytes - usedBytes + reusable, Math.ceil(largest * 1.1)];
  if (free >= needed) return undefined;
  return `/boot has ${formatBytes(free)} free and a new image needs ${formatBytes(needed)}: remove an old kernel.`;
}
