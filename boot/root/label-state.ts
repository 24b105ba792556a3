import { configFile } from '../../agent/config/parse.ts';
import { unlessSystemError } from '../../agent/lib/errors.ts';
import type { Context } from '../guest/command.ts';
import { readConfig } from '../guest/config.ts';
import { describe, openDirectory, using } from '../native/directories.ts';
import { firstLine, runIn } from '../native/programs.ts';
import { refusalOf } from '../native/refusal.ts';

const label = 'security.selinux';
const model = '/run/immutafs/forward';

/**
 * Gives the directory of FORWARD_STATE the SELinux type of /run/immutafs/forward, because the policy does not know the path, and a new
 * data disk has no labels. Does nothing if the SELinux module of this package is not installed.
 *
 * The type changes only if the directory belongs to the forwarder, so that a wrong path does not relabel other data. Does not follow
 * symbolic links, which the forwarder may have made.
 */
export function labelState(context: Context): void {
  const { native, reader } = context;
  const folder = readConfig(reader, configFile).values.FORWARD_STATE;
  if (folder === '' || folder.startsWith('/run/')) return;
  const wanted = labelOf(context, model);
  if (wanted?.includes(':immutafs_forward_state_t:') !== true) return;
  const refused = refusalOf(() => {
    const directory = openDirectory(native, folder);
    if (directory === undefined) return;
    using(native, directory, () => relabel(context, folder, directory, wanted));
  });
  if (refused !== undefined) warn(context, `${refused.reason}, its SELinux label is not changed`);
}

function relabel(context: Context, folder: string, directory: number, wanted: string): void {
  const { native } = context;
  if (native.attribute(directory, label).replace('\0', '') === wanted) return;
  if (describe(native, directory, '')?.user !== forwarder(context)) {
    warn(context, `${folder} does not belong to immutafs-forward, its SELinux label is not changed`);
    return;
  }
  const ended = runIn(native, directory, 50, 'chcon', '-R', '-h', wanted, '.');
  if (ended.code !== 0) warn(context, `chcon failed: ${firstLine(ended)}`);
}

/** Returns the label of a directory; undefined if there is none. */
function labelOf({ native }: Context, path: string): string | undefined {
  let found: string | undefined;
  refusalOf(() => {
    const directory = openDirectory(native, path);
    if (directory !== undefined)
      found = using(native, directory, () => native.attribute(directory, label).replace('\0', ''));
  });
  return found;
}

/** The number of the user of the forwarder, which the package makes in /etc/passwd. */
function forwarder({ reader }: Context): number | undefined {
  const text = unlessSystemError(() => reader.readIfPresent('/etc/passwd')) ?? '';
  const number = /^immutafs-forward:[^:\n]*:(\d{1,10}):/m.exec(text)?.[1];
  return number === undefined ? undefined : Number(number);
}

function warn({ native }: Context, text: string): void {
  native.print(2, `<4>label-state: ${text}\n`);
}
