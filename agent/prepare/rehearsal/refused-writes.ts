import path from 'node:path';
import { unlessSystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { stateRuleOf } from '../../services/state-rules.ts';

const phrase = /read-only file ?system|\bEROFS\b/i;
/** Only the beginning of a message is examined. */
const longest = 2000;
const longestPath = 1024;

/** Matches a path in quotes, which may contain spaces. */
const quoted = /['"`‘“](\/[^'"`’”\n]+)['"`’”]/g;
/** Matches a path without quotes, but not the path of a URL. */
const bare = /(?<![\w.:/'"`‘“~-])(\/[^\s'"`’”,;:()<>|]+)/g;
/** Matches what Python prints after the phrase: [Errno 30] Read-only file system: '/opt/x' */
const afterPhrase = /^\s*:\s*['"](?=\/)/;

/** systemd names the program that it could not start, not the file that it could not write (exec_child()). */
const spawning = /\bspawning \/[^\n]*$/;
/** systemd sets up a root directory for a service here (src/core/namespace.c). */
const unitRoot = /^\/run\/systemd\/unit-root(?=\/)/;

/**
 * Finds the path in a message. Most programs name it before the phrase, as the last of all paths: "mv: cannot move
 * '/etc/x.new' to '/etc/x': Read-only file system". The message comes from any program: its path is data, not a fact.
 * @param message one character per byte or UTF-16
 * @returns null if the message names no file or folder; undefined if it does not report a refused write
 */
export function findRefusedWrite(message: string): string | null | undefined {
  const text = message.slice(0, longest);
  const found = phrase.exec(text);
  if (found === null) return undefined;
  const [before, after] = [text.slice(0, found.index), text.slice(found.index + found[0].length)];
  const path = afterPhrase.test(after) ? pathsIn(after)[0] : (pathsIn(before).at(-1) ?? pathsIn(after)[0]);
  return spawning.test(before) ? null : normalised(path?.replace(unitRoot, ''));
}

function pathsIn(text: string): string[] {
  const inQuotes = [...text.matchAll(quoted)].map(({ index, 1: path = '' }) => ({ index, path }));
  const isInQuotes = (at: number) =>
    inQuotes.some(({ index, path }) => at > index && at < index + path.length + 1);
  const outside = [...text.matchAll(bare)]
    .map(({ index, 1: path = '' }) => ({ index, path }))
    .filter(({ index }) => !isInQuotes(index));
  return [...inQuotes, ...outside].toSorted((a, b) => a.index - b.index).map(({ path }) => path);
}

/** Returns a path without redundant slashes; null if it is too long or is not resolved without the file system. */
export function normalised(path: string | undefined): string | null {
  if (path === undefined || !path.startsWith('/') || path.length > longestPath) return null;
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  return names.includes('..') ? null : `/${names.join('/').replace(/[.]+$/, '')}`;
}

/**
 * Returns a function that finds the nearest existing folder of a path: the path itself if it is a folder. Answers are
 * cached, because programs repeat their attempts.
 */
export function folderFinder(reader: SystemReader): (file: string) => string {
  const known = new Map<string, string>();
  const find = (file: string): string => {
    if (file === '/') return file;
    const stat = unlessSystemError(() => reader.stat(file));
    return stat?.kind === 'directory' ? file : find(path.dirname(file));
  };
  return (file) => {
    const folder = known.get(file) ?? find(file);
    if (known.size < most) known.set(file, folder);
    return folder;
  };
}

const most = 5000;

/** What to do about a refused write. */
export interface Remedy {
  /** The folder to add to OVERLAY, or to PERSIST if its content must be kept; null if neither helps. */
  folder: string | null;
  /** One or two sentences. */
  text: string;
  /** Whether the program works without this write. */
  harmless: boolean;
}

/** The characters of a path in OVERLAY and PERSIST (agent/config/keys.ts). */
const plain = /^(\/[A-Za-z0-9._+@-]+)+$/;

/** Folders whose content is changed by updates only. */
const ofPackages = ['/usr', '/boot', '/bin', '/sbin', '/lib', '/lib64', '/efi'];

/**
 * Returns the remedy for a refused write in a folder.
 * @param path the file; null if it is unknown
 * @param folder the nearest existing folder of the file, in which it would have been created
 * @param writable the paths of OVERLAY and SCRATCH
 */
export function remedyFor(path: string | null, folder: string, writable: readonly string[]): Remedy {
  const none = (text: string, harmless = false) => ({ folder: null, text, harmless });
  if (path === null) {
    return none(
      'The message names no file. Find out where the program writes, and add the directory to OVERLAY or PERSIST.',
    );
  }
  if (path.includes('/__pycache__/') || path.endsWith('.pyc')) {
    return none('Python works without its cache of byte code.', true);
  }
  const covering = ['/var', ...writable].find((target) => isBelow(folder, target));
  if (covering !== undefined) {
    return none(
      `${covering} should be writable in a sealed boot: \`immutafs-agent status --all\` in the rehearsal shows why it is not.`,
    );
  }
  if (['/dev', '/proc', '/sys', '/run'].some((target) => isBelow(folder, target))) {
    return none(`${folder} is not on the system disk: the service itself mounts it read-only.`);
  }
  if (isBelow(folder, '/home')) {
    return none('Move /home to a disk of its own: immutafs-agent prepare --apply --home-device DEVICE.');
  }
  if (isBelow(folder, '/tmp')) return none('Make /tmp a tmpfs: immutafs-agent prepare --apply --only tmp.');
  if (!isBelow(folder, '/usr/local') && ofPackages.some((target) => isBelow(folder, target))) {
    return none(
      `Only updates change ${folder}, in maintenance mode: disable the function of the program that writes there.`,
    );
  }
  if (folder === '/') {
    return none(`Create the directory for ${path} in maintenance mode and add it to OVERLAY or PERSIST.`);
  }
  if (folder === '/etc') {
    return none(
      'Configure the program to keep the file in a directory of its own, in /var or in /run. A file cannot be kept by PERSIST, because programs replace files by rename(2); OVERLAY=/etc works, but lets root change the configuration of every program until the next boot.',
    );
  }
  if (!plain.test(folder)) {
    return none(
      'The path contains characters that OVERLAY and PERSIST do not permit: configure the program to write to another directory.',
    );
  }
  const rule = stateRuleOf(path);
  if (rule?.kind === 'state') {
    const { name, loses = 'its state' } = rule.service;
    const text = `${name} keeps ${loses} here, which an overlay would lose at every reboot: add ${folder} to PERSIST.`;
    return { folder, text, harmless: false };
  }
  return {
    folder,
    text: `Add ${folder} to OVERLAY; if its content must survive reboots, add it to PERSIST instead.`,
    harmless: false,
  };
}

export function topmost(folders: readonly string[]): string[] {
  const all = [...new Set(folders)].sort();
  return all.filter((folder) => !all.some((other) => other !== folder && isBelow(folder, other)));
}
