import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Changes a file's text in place and keeps its owner, mode and SELinux label.
 *
 * @throws if `change` returns the same text, because a scenario must not pass if its change had no effect
 */
export async function editFile(path: string, change: (text: string) => string): Promise<void> {
  const before = await readFile(path, 'utf8');
  const after = change(before);
  if (after === before) throw new Error(`the change has no effect on ${path}`);
  await writeFile(path, after);
}

/**
 * An edit that replaces `ro` in the prepared fstab with `defaults`, for a guest without the agent on a writable disk.
 */
export async function makeWritable(root: string): Promise<void> {
  await editFile(join(root, 'etc/fstab'), (text) => text.replaceAll(/ ro /g, ' defaults '));
}

/** Returns an edit that appends lines to the agent's configuration. */
export const configure = (lines: string) => (root: string) =>
  appendFile(join(root, 'etc/immutafs/immutafs.conf'), lines);
