import { configFile } from '../../config/config.ts';
import { keys } from '../../config/keys.ts';
import { decodeBytes } from '../../lib/format.ts';
import { namesIfThere } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { type Planned, stepOf, when } from '../engine/part.ts';
import type { Action } from '../engine/step.ts';
import { editConfig } from './writes/proposal.ts';

/** It decides about a device in the boot, too (boot/scratch/commands.ts). */
const program = '/usr/libexec/immutafs/immutafs-boot';
const blkid = '/usr/sbin/blkid';
const links = '/dev/disk/by-id';
/** The limit for each question to these programs, in milliseconds. `scratch-examine` reads samples of the whole device. */
const limit = 30_000;

/** Plans the step `scratch`: the device for SCRATCH is marked, so that every sealed boot may format it. */
export async function planScratch({ reader, config, settings }: Snapshot): Promise<Planned> {
  const named = settings.scratchDevice ?? config.SCRATCH_DEVICE;
  if (named === '') {
    return stepOf('by hand', [
      'SCRATCH names paths, and there is no SCRATCH_DEVICE: a sealed boot keeps them in memory. Attach a disk with a serial number, and use --scratch-device with its device.',
    ]);
  }
  const link = linkOf(reader, named);
  if (link === undefined) {
    return stepOf('blocked', [
      `${named} has no name in ${links} that the host gives it: give the disk a serial number on the host (libvirt: <serial>), and restart the guest.`,
    ]);
  }
  const problem = await ask(reader, ['scratch-check', link]);
  const edits = config.SCRATCH_DEVICE === link ? [] : editConfig(reader, { SCRATCH_DEVICE: link });
  if (typeof edits === 'string') return stepOf('by hand', [`${edits}.`]);
  if (problem === undefined) {
    return edits.length === 0
      ? stepOf('done', [`${link} is marked: every sealed boot may format it.`])
      : stepOf('needed', [`${link} is marked. ${configFile} will name it.`], edits);
  }
  if (settings.scratchDevice === undefined) return stepOf('blocked', [problem]);
  const wipe = when(settings.wipe === settings.scratchDevice, 'wipe');
  const refusal = await ask(reader, ['scratch-examine', link, ...wipe]);
  const content = await contentOf(reader, link);
  if (refusal !== undefined) return stepOf('blocked', [refusal, content]);
  const why = [
    `${named} (${link}) will be marked for SCRATCH. From then on, every sealed boot of this guest formats it.`,
    content,
    ...when(wipe.length > 0, 'Its content will be erased.'),
  ];
  const revert = `${link} stays marked; without SCRATCH_DEVICE, no boot formats it. To remove the mark: ${program} scratch-unmark ${link}`;
  const mark: Action = { do: 'run', program, args: ['scratch-mark', link, ...wipe], seconds: 60, revert };
  return stepOf('needed', why, [mark, ...edits]);
}

/** Returns the link in /dev/disk/by-id that names a device by what the host says about it. */
function linkOf(reader: SystemReader, named: string): string | undefined {
  if (named.startsWith(`${links}/`)) return keys.SCRATCH_DEVICE.good(named) ? named : undefined;
  const device = resolved(reader, named);
  return namesIfThere(reader, links)
    .map((name) => `${links}/${name}`)
    .filter((link) => keys.SCRATCH_DEVICE.good(link) && resolved(reader, link) === device)
    .toSorted()[0];
}

function resolved(reader: SystemReader, file: string): string | undefined {
  return reader.stat(file) === undefined ? undefined : reader.resolve(file);
}

/** Runs immutafs-boot. @returns why it refuses the device, with what to do; undefined if it does not */
async function ask(reader: SystemReader, args: string[]): Promise<string | undefined> {
  const { stdout, ended } = await reader.run(program, args, limit);
  if (ended === 'good') return undefined;
  const [, reason, remedy] = /^REASON=(.*)\nREMEDY=(.*)\n$/.exec(decodeBytes(stdout)) ?? [];
  return reason === undefined || remedy === undefined
    ? `The device could not be checked: run \`${[program, ...args].join(' ')}\`.`
    : `${reason}. ${remedy}${/[.!]$/.test(remedy) ? '' : '.'}`;
}

/** Returns a sentence about the content that libblkid recognises. */
async function contentOf(reader: SystemReader, device: string): Promise<string> {
  const { stdout, ended } = await reader.run(blkid, ['-p', '-o', 'export', device], limit);
  const found = decodeBytes(stdout)
    .split('\n')
    .filter((line) => /^(TYPE|PTTYPE|LABEL|UUID)=/.test(line));
  if (ended !== 'good' || found.length === 0) return `blkid recognises nothing on ${device}.`;
  return `blkid finds on ${device}: ${found.join(' ')}.`;
}
