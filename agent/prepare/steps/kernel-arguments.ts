import { errorMessage } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { neverResumes, resumeWords } from '../../facts/boot/kernel-arguments.ts';
import { type LoaderFile, kernelLines, kernelopts, readLoader } from '../../facts/boot/boot-loader.ts';
import { readSecureBoot } from '../../facts/boot/firmware.ts';
import { type Look, textIfThere } from '../engine/snapshot.ts';
import type { Action } from '../engine/step.ts';
import { writeOut } from './initramfs.ts';
import { type Wanted, corrected, correctedDefaults, correctedFile, isCorrect } from './kernel-lines.ts';

export interface Corrections {
  why: string[];
  byHand: string[];
  actions: Action[];
}

const defaults = '/etc/default/grub';
const cmdline = '/etc/kernel/cmdline';

/**
 * Adds noresume, and noefi on UEFI, for every kernel in GRUB's menu and for kernels installed later, and removes resume=.
 * grubby(8) would change the same files; they are edited directly so that --undo can restore each. A guest without GRUB's
 * files gets its command line from the host.
 */
export function planKernelArguments({ reader, mounts }: Look, running: readonly string[]): Corrections {
  const { files, unread } = readLoader(reader);
  const wanted: Wanted[] = takesNoEfi(reader) ? ['noresume', 'noefi'] : ['noresume'];
  const byHand = unread.map((reason) => `The boot loader's files could not all be read: ${reason}.`);
  const lines = kernelLines({ files });
  if (lines.length === 0) return { why: [], byHand: [...byHand, ...fromHost(running)], actions: [] };

  const edits: Action[] = [];
  const inVariable = files.some(({ text }) => text.search(kernelopts) >= 0);
  for (const file of files) byHand.push(...editLoader(file, wanted, inVariable, edits));
  byHand.push(...editToCome(reader, wanted, edits));
  if (edits.length === 0) return { why: [], byHand, actions: [] };

  const wrong = lines.filter(({ words }) => !isCorrect(words, wanted)).map(({ name }) => name);
  const where =
    wrong.length === 0 ? 'kernels to come' : `${[...new Set(wrong)].join(', ')} and kernels to come`;
  const inBoot = edits.some((action) => 'file' in action && action.file.startsWith('/boot/'));
  const ownBoot = mounts.serving('/boot')?.target === '/boot';
  return {
    why: [
      `The kernel command line of ${where} gets ${wanted.join(' and ')}, without resume=: a hibernation image on a writable disk would bring back the memory of an attacker${wanted.length > 1 ? ', and what root writes to EFI variables outlives a reboot' : ''}.`,
    ],
    byHand,
    actions: inBoot && ownBoot ? [...edits, writeOut] : edits,
  };
}

/**
 * With Secure Boot, the kernel takes the keys of modules that are signed with a machine owner key (MOK) from EFI variables
 * (security/integrity/platform_certs/load_uefi.c), and systemd ignores SystemdOptions.
 */
function takesNoEfi(reader: SystemReader): boolean {
  return reader.stat('/sys/firmware/efi') !== undefined && readSecureBoot(reader) !== true;
}

/** With QEMU's -append or libvirt's <cmdline> there is nothing in the guest to change. */
function fromHost(running: readonly string[]): string[] {
  const asked = resumeWords(running);
  if (asked.length === 0 || neverResumes(running)) return [];
  return [
    `The kernel command line has ${asked.join(' ')} and comes from the host, or from a boot loader other than GRUB: take it off there, and add noresume.`,
  ];
}

function editLoader(
  file: LoaderFile,
  wanted: readonly Wanted[],
  inVariable: boolean,
  edits: Action[],
): string[] {
  try {
    const after = correctedFile(file, wanted, inVariable);
    if (after !== file.text) edits.push({ do: 'edit', file: file.file, before: file.text, after });
    return [];
  } catch (error) {
    return [`${errorMessage(error)}: set ${wanted.join(' ')} with grub2-editenv or grubby.`];
  }
}

/** What grub-mkconfig and kernel-install(8) take the arguments of a new kernel from. */
function editToCome(reader: SystemReader, wanted: readonly Wanted[], edits: Action[]): string[] {
  const edit = (file: string, before: string, after: string) => {
    if (after !== before) edits.push({ do: 'edit', file, before, after });
  };
  const own = textIfThere(reader, cmdline);
  if (own !== undefined) {
    const end = own.endsWith('\n') ? '\n' : '';
    edit(cmdline, own, corrected(own.trimEnd(), wanted) + end);
  }
  const before = textIfThere(reader, defaults);
  if (before === undefined) return [];
  const after = correctedDefaults(before, wanted);
  if (after !== undefined) {
    edit(defaults, before, after);
    return [];
  }
  const resolved = before.split(/[\s"'=]+/);
  if (wanted.every((word) => resolved.includes(word)) && !/\bresume=/.test(before)) return [];
  return [
    `Add ${wanted.join(' ')} to GRUB_CMDLINE_LINUX in ${defaults}, and remove resume= there: it is not a plain assignment.`,
  ];
}
