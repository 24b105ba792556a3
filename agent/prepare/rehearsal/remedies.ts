import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { stateRuleOf } from '../../services/state-rules.ts';

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

/** Removes the folders that are below another one. */
export function topmost(folders: readonly string[]): string[] {
  const all = [...new Set(folders)].sort();
  return all.filter((folder) => !all.some((other) => other !== folder && isBelow(folder, other)));
}
