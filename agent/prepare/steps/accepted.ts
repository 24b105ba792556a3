import { type Accepted, acceptedFile, isAccepted } from '../../config/accepted.ts';
import { unlessSystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Action } from '../engine/step.ts';
import { readAccounts } from '../../facts/identity.ts';

const heading = `# What \`immutafs-agent prepare\` does not report: a path with everything below it, which a sealed boot may reset or
# in which changes are accepted, or "until TIME" for changes of unknown origin up to a point in time.
`;

/**
 * Returns the change that adds entries to the list, with the time and the user who accepted them; none if the list
 * already contains them.
 * @param paths one character per byte (latin1)
 * @param until seconds since the epoch, replaces an earlier point in time
 */
export function planAcceptance(
  reader: SystemReader,
  before: Accepted,
  paths: readonly string[],
  until?: number,
): Action[] {
  const by = `# ${reader.now().toISOString()}, ${loginUser(reader)}:`;
  const after = withAccepted(before, by, paths, until);
  return after === undefined ? [] : [{ do: 'edit', file: acceptedFile, before: before.text, after }];
}

export function invalidLines({ invalid }: Accepted): string[] {
  return invalid.map(
    (line) => `${acceptedFile}:${line}: neither a path nor "until TIME". Correct or remove the line.`,
  );
}

/** Returns the user who logged in, also behind sudo(8) (proc_pid_loginuid(5)); root if no login is recorded. */
function loginUser(reader: SystemReader): string {
  const uid = unlessSystemError(() => reader.readIfPresent('/proc/self/loginuid', 64))?.trim() ?? '';
  // In an image, nothing says who logged in. A blank line of /etc/passwd, such as its end, is an account without a name.
  return readAccounts(reader).find((account) => account.name !== '' && account.uid === uid)?.name ?? 'root';
}

/** @param by the line before the entries */
export function withAccepted(
  accepted: Accepted,
  by: string,
  paths: readonly string[],
  until: number | undefined,
): string | undefined {
  const added = [...new Set(paths)].filter((path) => !isAccepted(accepted, path));
  const isLater = until !== undefined && until > accepted.until;
  if (added.length === 0 && !isLater) return undefined;
  const before = accepted.text ?? heading;
  const kept = isLater ? before.replace(/(^# \S+, [^\n]*:\n)?^[ \t]*until .*\n?/gm, '') : before;
  const time = isLater ? [`until ${new Date(until * 1000).toISOString()}`] : [];
  const lines = [by, ...time, ...added];
  const separator = kept === '' || kept.endsWith('\n') ? '' : '\n';
  return `${kept}${separator}${lines.map((line) => `${line}\n`).join('')}`;
}
