import { errorMessage } from '../../lib/errors.ts';
import { unlessRefused } from '../../system/image.ts';
import type { SystemReader } from '../../system/reader.ts';
import { neverResumes, resumeWords } from '../../facts/boot/kernel-arguments.ts';
import { type LoaderFile, kernelLines, kernelopts, readLoader } from '../../facts/boot/boot-loader.ts';
import { readSecureBoot } from '../../facts/boot/firmware.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import type { Action } from '../engine/step.ts';
import { flushBoot } from './initramfs.ts';
import {
  type RequiredArgument,
  correctArguments,
  correctDefaults,
  correctLoaderFile,
  hasCorrectArguments,
} from './command-line-edit.ts';

interface Corrections {
  /** The reasons for the actions. */
  why: string[];
  /** The changes that an administrator must make. */
  manual: string[];
  actions: Action[];
}

const defaults = '/etc/default/grub';
const cmdline = '/etc/kernel/cmdline';

/**
 * Plans to add noresume, and noefi on UEFI, for every kernel in GRUB's menu and for kernels installed later, and to
 * remove resume=. The files are those that grubby(8) changes. They are edited directly, so that --undo can restore each
 * of them. A guest without GRUB's files gets its command line from the host.
 * @param running the kernel command line of this boot
 */
export function planKernelArguments({ reader, mounts }: Snapshot, running: readonly string[]): Corrections {
  const { files, unread } = readLoader(reader);
  // Whether a guest of an image is started by UEFI is known only there.
  const isEfi = unlessRefused(() => needsNoEfi(reader)) === true;
  const wanted: RequiredArgument[] = isEfi ? ['noresume', 'noefi'] : ['noresume'];
  const manual = unread.map((reason) => `A file of the boot loader cannot be read: ${reason}.`);
  const lines = kernelLines({ files });
  // An image may get its boot loader only later in its build.
  if (lines.length === 0 && reader.image === undefined)
    return { why: [], manual: [...manual, ...fromHost(running)], actions: [] };

  const edits: Action[] = [];
  const inVariable = files.some(({ text }) => text.search(kernelopts) >= 0);
  for (const file of files) manual.push(...editLoader(file, wanted, inVariable, edits));
  manual.push(...editFuture(reader, wanted, edits));
  if (edits.length === 0) return { why: [], manual, actions: [] };

  const wrong = lines.filter(({ words }) => !hasCorrectArguments(words, wanted)).map(({ name }) => name);
  const where =
    wrong.length === 0 ? 'future kernels' : `${[...new Set(wrong)].join(', ')} and of future kernels`;
  const inBoot = edits.some((action) => 'file' in action && action.file.startsWith('/boot/'));
  const ownBoot = mounts.serving('/boot')?.target === '/boot';
  return {
    why: [
      `The kernel command line of ${where} will get ${wanted.join(' and ')} and lose resume=: an attacker could write a hibernation image to a writable disk${wanted.length > 1 ? ', and EFI variables that root writes persist across reboots' : ''}.`,
    ],
    manual,
    actions: inBoot && ownBoot && reader.image === undefined ? [...edits, flushBoot] : edits,
  };
}

/**
 * Whether noefi is needed. It is not set with Secure Boot, because the kernel then reads the machine owner keys (MOK),
 * with which it verifies modules, from EFI variables (security/integrity/platform_certs/load_uefi.c), and systemd
 * ignores the variable SystemdOptions.
 */
function needsNoEfi(reader: SystemReader): boolean {
  return reader.stat('/sys/firmware/efi') !== undefined && readSecureBoot(reader) !== true;
}

/**
 * Reports resume= in a command line from QEMU's -append or libvirt's <cmdline>, for which the guest has no file to
 * change.
 */
function fromHost(running: readonly string[]): string[] {
  const resume = resumeWords(running);
  if (resume.length === 0 || neverResumes(running)) return [];
  return [
    `The kernel command line has ${resume.join(' ')} and comes from the host, or from a boot loader other than GRUB: remove resume= there, and add noresume.`,
  ];
}

function editLoader(
  file: LoaderFile,
  wanted: readonly RequiredArgument[],
  inVariable: boolean,
  edits: Action[],
): string[] {
  try {
    const after = correctLoaderFile(file, wanted, inVariable);
    if (after !== file.text) edits.push({ do: 'edit', file: file.file, before: file.text, after });
    return [];
  } catch (error) {
    return [`${errorMessage(error)}: set ${wanted.join(' ')} with grub2-editenv or grubby.`];
  }
}

/** Plans edits of the files from which grub-mkconfig and kernel-install(8) take the arguments of a new kernel. */
function editFuture(reader: SystemReader, wanted: readonly RequiredArgument[], edits: Action[]): string[] {
  const edit = (file: string, before: string, after: string) => {
    if (after !== before) edits.push({ do: 'edit', file, before, after });
  };
  const own = reader.readIfPresent(cmdline);
  if (own !== undefined) {
    const end = own.endsWith('\n') ? '\n' : '';
    edit(cmdline, own, correctArguments(own.trimEnd(), wanted) + end);
  }
  const before = reader.readIfPresent(defaults);
  if (before === undefined) return [];
  const after = correctDefaults(before, wanted);
  if (after !== undefined) {
    edit(defaults, before, after);
    return [];
  }
  const present = before.split(/[\s"'=]+/);
  if (wanted.every((word) => present.includes(word)) && !/\bresume=/.test(before)) return [];
  return [
    `${defaults} has no plain assignment of GRUB_CMDLINE_LINUX: add ${wanted.join(' ')} to it, and remove resume=.`,
  ];
}
