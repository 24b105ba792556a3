import { errorMessage, isAbsent } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/** A file that contains GRUB's boot menu or GRUB's variables. */
export interface LoaderFile {
  /** The path with all symbolic links resolved. */
  file: string;
  /** `grub`: grub.cfg; `entry`: an entry of the Boot Loader Specification; `environment`: grubenv. */
  kind: 'grub' | 'entry' | 'environment';
  /** Latin-1: one character per byte. */
  text: string;
}

interface Loader {
  files: LoaderFile[];
  /** Existing files that could not be read, each with the reason. */
  unread: string[];
}

/** The kernel and the kernel arguments of a menu entry. */
interface KernelLine {
  /** The path of the kernel in grub.cfg, or the title of an entry of the Boot Loader Specification. */
  name: string;
  words: string[];
}

const maximumBytes = 1024 * 1024;
const maximumEntries = 128;

/**
 * Reads GRUB's files at the paths of RHEL 7 to 10 and Debian. If none exists, the host or another boot loader boots
 * this guest.
 */
export function readLoader(reader: SystemReader): Loader {
  const files = new Map<string, LoaderFile>();
  const unread: string[] = [];
  const read = (file: string, kind: LoaderFile['kind']) => {
    try {
      const resolved = reader.resolve(file);
      const text = reader.read(resolved, maximumBytes);
      if (!files.has(resolved)) files.set(resolved, { file: resolved, kind, text });
    } catch (error) {
      if (!isAbsent(error)) unread.push(`${file}: ${errorMessage(error).replace(/^\/\S+: /, '')}`);
    }
  };
  const list = (directory: string): string[] => {
    try {
      return reader.list(directory).slice(0, maximumEntries);
    } catch (error) {
      if (!isAbsent(error)) unread.push(errorMessage(error));
      return [];
    }
  };
  const vendors = list('/boot/efi/EFI').map((name) => `/boot/efi/EFI/${name}`);
  for (const directory of ['/boot/grub2', '/boot/grub', ...vendors]) {
    read(`${directory}/grub.cfg`, 'grub');
    read(`${directory}/grubenv`, 'environment');
  }
  const entries = '/boot/loader/entries';
  for (const name of list(entries)) if (name.endsWith('.conf')) read(`${entries}/${name}`, 'entry');
  return { files: [...files.values()], unread };
}

/**
 * A line of grub.cfg that loads a Linux kernel. Groups: the part before the arguments, the path of the kernel, the
 * arguments.
 */
export const linuxLine = /^([ \t]*linux(?:16|efi)?[ \t]+(\S*vmlinu\S*))(.*)$/gm;
/** A line with kernel arguments in an entry (Boot Loader Specification, `options`); an entry may have several. */
export const optionsLine = /^(options[ \t]+)(.*)$/gm;
/**
 * RHEL 8: the definition of the variable kernelopts, which holds the arguments of every entry that refers to it.
 * grubenv sets it; grub.cfg contains the default.
 */
export const kernelopts = /^([ \t]*set kernelopts="|kernelopts=)([^"\n]*)/gm;

/** Returns the arguments of every kernel in the menu, with the variable kernelopts expanded. */
export function kernelLines({ files }: Pick<Loader, 'files'>): KernelLine[] {
  const common = files
    .toSorted((a, b) => rank(a) - rank(b))
    .flatMap(({ text }) => [...text.matchAll(kernelopts)].map(([, , value = '']) => value));
  const resolve = (text: string) =>
    text
      .replace(/\$\{?kernelopts\}?/g, () => common[0] ?? '')
      .split(/\s+/)
      .filter((word) => word !== '');
  return files.flatMap(({ file, kind, text }) => {
    if (kind === 'grub') {
      return [...text.matchAll(linuxLine)].map(([, , name = '', words = '']) => ({
        name,
        words: resolve(words),
      }));
    }
    if (kind === 'environment') return [];
    const name = /^title[ \t]+(.*)$/m.exec(text)?.[1] ?? file;
    const words = [...text.matchAll(optionsLine)].map(([, , value = '']) => value).join(' ');
    return [{ name, words: resolve(words) }];
  });
}

/** Sorts grubenv first, because its value takes precedence over the default in grub.cfg. */
function rank({ kind }: LoaderFile): number {
  return kind === 'environment' ? 0 : 1;
}

/**
 * Returns the `search` commands of grub.cfg that accept a file system on any disk. These have neither --root-dev-only
 * (CVE-2023-4001) nor a hint, which makes GRUB try its own boot disk first. Commands that grub-mkconfig writes for
 * versions of GRUB that do not support hints are skipped.
 */
export function openSearches(text: string): string[] {
  const blocks: { hints: boolean; otherwise: boolean }[] = [];
  return text.split('\n').flatMap((line) => {
    const command = line.trim();
    const [word = ''] = command.split(/\s+/);
    if (word === 'if')
      blocks.push({ hints: command.includes('feature_platform_search_hint'), otherwise: false });
    if (word === 'fi') blocks.pop();
    const top = blocks.at(-1);
    if (word === 'else' && top !== undefined) top.otherwise = true;
    const isOld = blocks.some(({ hints, otherwise }) => hints && otherwise);
    const isSearch = /^search(\.\w+)?$/.test(word);
    return isSearch && !isOld && !/ --(root-dev-only|hint)/.test(command) ? [command] : [];
  });
}
