import { errorMessage } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { CpioFile } from './initramfs/cpio.ts';
import { readImage } from './initramfs/image.ts';
import { type Kernel, installedKernels, isOlderThanModules } from './initramfs/kernels.ts';
import { type Look, namesIfThere, textIfThere } from '../engine/snapshot.ts';
import type { Action, Step } from '../engine/step.ts';

const ours = '/usr/libexec/immutafs';
const moduleSetup = '/usr/lib/dracut/modules.d/95immutafs/module-setup.sh';

/** The initramfs of every installed kernel has its modules as they are, this version's scripts and the overlay driver. */
export async function planInitramfs({ reader, mounts }: Look): Promise<Step> {
  const step = (state: Step['state'], why: string[], actions: Action[] = []): Step => ({
    id: 'initramfs',
    state,
    why,
    actions,
  });
  const scripts = installedScripts(reader);
  if (scripts.size === 0) return step('blocked', [`${ours} is not there: install the package.`]);
  const kernels = installedKernels(reader);
  if (kernels.length === 0) return step('blocked', ['No kernel was found in /boot or /usr/lib/modules.']);
  const wrong: { kernel: Kernel; fault: string }[] = [];
  for (const kernel of kernels) {
    const fault = await faultOf(reader, kernel, scripts);
    if (fault !== undefined) wrong.push({ kernel, fault });
  }
  if (wrong.length === 0) {
    const names = kernels.map(({ version }) => version).join(', ');
    return step('done', [`The initramfs of ${names} has the scripts and the overlay driver.`]);
  }
  const why = wrong.map(({ kernel, fault }) => `${kernel.image} ${fault}.`);
  if (reader.stat('/usr/bin/dracut') === undefined) {
    return step('blocked', [...why, 'dracut is not there: install it.']);
  }
  const space = noSpace(
    reader,
    wrong.map(({ kernel }) => kernel),
  );
  if (space !== undefined) return step('blocked', [...why, space]);
  const again = wrong.flatMap(({ kernel }) => regeneration(kernel));
  return step('needed', why, mounts.serving('/boot')?.target === '/boot' ? [...again, writeOut] : again);
}

/**
 * The text of each script that our dracut module names, by its path in an initramfs; others are for later than that.
 * Programs dracut may strip.
 */
function installedScripts(reader: SystemReader): ReadonlyMap<string, string> {
  const named = (textIfThere(reader, moduleSetup) ?? '').split(/[^\w.-]+/);
  const scripts = namesIfThere(reader, ours)
    .filter((name) => named.includes(name))
    .map((name): [string, string] => [`${ours.slice(1)}/${name}`, reader.read(`${ours}/${name}`)]);
  return new Map(scripts.filter(([, text]) => !text.startsWith('\x7fELF')));
}

/** @returns what is wrong with its initramfs, going on after its name */
async function faultOf(
  reader: SystemReader,
  kernel: Kernel,
  scripts: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  const { version, image } = kernel;
  if (reader.stat(image) === undefined) return 'is not there';
  if (isOlderThanModules(reader, kernel)) return `is older than the modules of ${version}`;
  let files: CpioFile[];
  try {
    files = await readImage(reader, image, (name) => scripts.has(name));
  } catch (error) {
    return `cannot be read: ${errorMessage(error)}`;
  }
  const lacks = [
    ...(files.some(({ name }) => /hooks\/pre-pivot\/\d+-immutafs-pre-pivot\.sh$/.test(name))
      ? scriptsLacking(files, scripts)
      : ['the hook of this package']),
    ...(hasOverlay(reader, version, files) ? [] : ['the overlay driver']),
  ];
  return lacks.length === 0 ? undefined : `lacks ${lacks.join(' and ')}`;
}

/** Hard links have their content once only, so an empty one says nothing. */
function scriptsLacking(files: readonly CpioFile[], scripts: ReadonlyMap<string, string>): string[] {
  const inside = new Map(files.map(({ name, text }) => [name, text]));
  const isGood = ([name, text]: [string, string]) => {
    const there = inside.get(name);
    return inside.has(name) && (there === undefined || there === '' || there === text);
  };
  return [...scripts].every(isGood) ? [] : ['the scripts of this version'];
}

function hasOverlay(reader: SystemReader, version: string, files: readonly CpioFile[]): boolean {
  const driver = /(^|\/)kernel\/fs\/overlayfs\/overlay\.ko(\.\w+)?$/;
  if (files.some(({ name }) => driver.test(name))) return true;
  const builtin = `/usr/lib/modules/${version}/modules.builtin`;
  return (
    reader.stat(builtin) !== undefined &&
    reader
      .read(builtin)
      .split('\n')
      .some((line) => driver.test(line))
  );
}

/**
 * A boot loader reads /boot without its journal: until that is written out, it would find the old name of the old
 * image, whose blocks may be another file's by then. Freezing does it, and nothing else; dracut does it for the file that
 * it wrote, but not for the new name. In one process that no Ctrl-C ends in between. FAT cannot be frozen, and has no journal.
 */
export const writeOut: Action = {
  do: 'run',
  program: '/bin/sh',
  args: [
    '-c',
    "trap '' INT TERM HUP; if /usr/sbin/fsfreeze -f /boot; then /usr/sbin/fsfreeze -u /boot; else /usr/bin/sync; fi",
  ],
  seconds: 600,
};

/** Beside it and then in its place: dracut itself does not leave the old one whole if the power fails. */
function regeneration(kernel: Kernel): Action[] {
  const { version, image } = kernel;
  const made = beside(kernel);
  return [
    { do: 'run', program: '/usr/bin/dracut', args: ['--force', made, version], seconds: 1800 },
    { do: 'rename', from: made, to: image },
  ];
}

function beside({ image }: Kernel): string {
  return image.replace(/([^/]+)$/, '.$1.immutafs');
}

/** There must be room for one more image while the old one is there; what an interrupted run left is written over. */
function noSpace(reader: SystemReader, kernels: readonly Kernel[]): string | undefined {
  const largest = Math.max(0, ...kernels.map(({ image }) => reader.stat(image)?.bytes ?? 0));
  const left = kernels.reduce((sum, kernel) => sum + (reader.stat(beside(kernel))?.bytes ?? 0), 0);
  const { sizeBytes, usedBytes } = reader.usage('/boot');
  const [free, needed] = [sizeBytes - usedBytes + left, Math.ceil(largest * 1.1)];
  if (free >= needed) return undefined;
  return `/boot has ${formatBytes(free)} left; a new image needs ${formatBytes(needed)}: remove an old kernel.`;
}
