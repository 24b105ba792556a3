import { errorMessage } from '../../lib/errors.ts';
import { unlessRefused } from '../../system/image.ts';
import type { SystemReader } from '../../system/reader.ts';
import { hasNoEfiRuntime, neverResumes, resumeWords } from '../../facts/boot/kernel-arguments.ts';
import {
  type LoaderFile,
  kernelLines,
  kernelopts,
  linuxLine,
  optionsLine,
  readLoader,
} from '../../facts/boot/boot-loader.ts';
import { readSecureBoot } from '../../facts/boot/firmware.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { type Part, join, when } from '../engine/part.ts';
import { flushBoot } from './initramfs.ts';

const defaults = '/etc/default/grub';
const cmdline = '/etc/kernel/cmdline';

/**
 * Plans to add noresume, and noefi on UEFI, for every kernel in GRUB's menu and for kernels installed later, and to
 * remove resume=. The files are those that grubby(8) changes. They are edited directly, so that --undo can restore each
 * of them. A guest without GRUB's files gets its command line from the host.
 * @param running the kernel command line of this boot
 */
export function planKernelArguments({ reader, mounts }: Snapshot, running: readonly string[]): Partial<Part> {
  const { files, unread } = readLoader(reader);
  // Whether a guest of an image is started by UEFI is known only there.
  const isEfi = unlessRefused(() => needsNoEfi(reader)) === true;
  const wanted: RequiredArgument[] = isEfi ? ['noresume', 'noefi'] : ['noresume'];
  const unreadable = unread.map(
    (reason) => `A file of the boot loader cannot be read: ${reason}. Check the file, and run prepare again.`,
  );
  const lines = kernelLines({ files });
  // An image may get its boot loader only later in its build.
  if (lines.length === 0 && reader.image === undefined)
    return { manual: [...unreadable, ...fromHost(running)] };

  const inVariable = files.some(({ text }) => text.search(kernelopts) >= 0);
  const { actions, manual } = join(
    { manual: unreadable },
    ...files.map((file) => editLoader(file, wanted, inVariable)),
    editKernelInstall(reader, wanted),
    editDefaults(reader, wanted),
  );
  if (actions.length === 0) return { manual };

  const isWrong = (words: readonly string[]) =>
    resumeWords(words).length > 0 || correctArguments(words.join(' '), wanted) !== words.join(' ');
  const wrong = lines.filter(({ words }) => isWrong(words)).map(({ name }) => name);
  const where =
    wrong.length === 0 ? 'future kernels' : `${[...new Set(wrong)].join(', ')} and of future kernels`;
  const inBoot = actions.some((action) => 'file' in action && action.file.startsWith('/boot/'));
  const ownBoot = mounts.serving('/boot')?.target === '/boot';
  return {
    why: [
      `The kernel command line of ${where} will get ${wanted.join(' and ')} and lose resume=: an attacker could write a hibernation image to a writable disk${wanted.length > 1 ? ', and EFI variables that root writes persist across reboots' : ''}.`,
    ],
    manual,
    actions: [...actions, ...when(inBoot && ownBoot && reader.image === undefined, flushBoot)],
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
  return when(
    resume.length > 0 && !neverResumes(running),
    `The kernel command line has ${resume.join(' ')} and comes from the host, or from a boot loader other than GRUB: remove resume= there, and add noresume.`,
  );
}

function editLoader(
  { file, kind, text }: LoaderFile,
  wanted: readonly RequiredArgument[],
  inVariable: boolean,
): Partial<Part> {
  try {
    return edit(file, text, correctLoaderFile({ file, kind, text }, wanted, inVariable));
  } catch (error) {
    return { manual: [`${errorMessage(error)}: set ${wanted.join(' ')} with grub2-editenv or grubby.`] };
  }
}

function edit(file: string, before: string, after: string): Partial<Part> {
  return after === before ? {} : { actions: [{ do: 'edit', file, before, after }] };
}

/** Plans the edit of the file from which kernel-install(8) takes the arguments of a new kernel. */
function editKernelInstall(reader: SystemReader, wanted: readonly RequiredArgument[]): Partial<Part> {
  const before = reader.readIfPresent(cmdline);
  if (before === undefined) return {};
  const end = before.endsWith('\n') ? '\n' : '';
  return edit(cmdline, before, correctArguments(before.trimEnd(), wanted) + end);
}

/** Plans the edit of the file from which grub-mkconfig takes the arguments of every kernel. */
function editDefaults(reader: SystemReader, wanted: readonly RequiredArgument[]): Partial<Part> {
  const before = reader.readIfPresent(defaults);
  if (before === undefined) return {};
  const after = correctDefaults(before, wanted);
  if (after !== undefined) return edit(defaults, before, after);
  const present = before.split(/[\s"'=]+/);
  if (wanted.every((word) => present.includes(word)) && !/\bresume=/.test(before)) return {};
  const manual = `${defaults} has no plain assignment of GRUB_CMDLINE_LINUX: add ${wanted.join(' ')} to it, and remove resume=.`;
  return { manual: [manual] };
}

/** A kernel argument that the step adds. */
type RequiredArgument = 'noresume' | 'noefi';

/**
 * Removes resume= and resume_offset=, and appends missing arguments. Spaces and quotes are left unchanged.
 * @param text the arguments of a kernel, as written in a file
 */
export function correctArguments(text: string, wanted: readonly RequiredArgument[]): string {
  const kept = text.replace(/(^|[ \t])resume(?:_offset)?=[^\s"']*/g, '');
  const words = kept.split(/\s+/);
  const has = { noresume: neverResumes, noefi: hasNoEfiRuntime };
  const missing = wanted.filter((word) => !has[word](words));
  if (missing.length === 0) return kept;
  const trimmed = kept.trimEnd();
  // If the line had no arguments, the added arguments are still preceded by its space.
  return [...(trimmed === '' && kept === '' ? [] : [trimmed]), ...missing].join(' ');
}

/**
 * Corrects the arguments of every kernel in a file of GRUB.
 * @param inVariable whether a file sets the variable kernelopts, so that lines that use the variable get no arguments
 * @returns the text of the file, possibly unchanged
 * @throws Error if an environment block is too small
 */
export function correctLoaderFile(
  { file, kind, text }: LoaderFile,
  wanted: readonly RequiredArgument[],
  inVariable: boolean,
): string {
  const after = text.replace(
    kernelopts,
    (_, before: string, words: string) => before + correctArguments(words, wanted),
  );
  const change = (words: string) =>
    correctArguments(words, inVariable && /\$\{?kernelopts\}?/.test(words) ? [] : wanted);
  switch (kind) {
    case 'environment': {
      // An environment block is always 1024 bytes, padded with "#" (grub-editenv(1)).
      const lines = after.replace(/#*$/, '');
      if (lines.length > 1024) throw new Error(`${file} has no space for more arguments`);
      return lines.padEnd(1024, '#');
    }
    case 'grub':
      return after.replace(
        linuxLine,
        (_, before: string, _kernel: string, words: string) => before + change(words === '' ? ' ' : words),
      );
    case 'entry':
      return after.replace(optionsLine, (_, before: string, words: string) => before + change(words));
  }
}

/**
 * Corrects the arguments of future kernels in /etc/default/grub.
 * @returns the text of the file; undefined if an assignment is not a plain string, because a shell evaluates the file
 */
export function correctDefaults(text: string, wanted: readonly RequiredArgument[]): string | undefined {
  const assignment = /^([ \t]*(?:export[ \t]+)?GRUB_CMDLINE_LINUX(_DEFAULT)?\+?=)(.*)$/gm;
  const found = [...text.matchAll(assignment)];
  if (!found.some(([, , isDefault]) => isDefault === undefined)) {
    return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}GRUB_CMDLINE_LINUX="${wanted.join(' ')}"\n`;
  }
  const unclear: string[] = [];
  const after = text.replace(
    assignment,
    (line, before: string, isDefault: string | undefined, value: string) => {
      const parts = /^(["']?)((?:[^"'\\`$]|\$\w)*)\1([ \t]*(?:#.*)?)$/.exec(value);
      const [, quote = '', words = '', rest = ''] = parts ?? [];
      if (parts === null || (quote === '' && /\s/.test(words))) {
        unclear.push(line);
        return line;
      }
      const around = quote === '' ? '"' : quote;
      const corrected = correctArguments(words, isDefault === undefined ? wanted : []);
      // What is appended (+=) begins with the blank that separates it.
      const blank = before.endsWith('+=') && /^\s|^$/.test(words) && /^\S/.test(corrected) ? ' ' : '';
      return `${before}${around}${blank}${corrected}${around}${rest}`;
    },
  );
  return unclear.length === 0 ? after : undefined;
}
