import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Changes a file's text in place: owner, mode and SELinux label are kept.
 *
 * @throws if `change` returns the same text; a scenario must not pass because its change had no effect
 */
export async function editFile(path: string, change: (text: string) => string): Promise<void> {
  const before = await readFile(path, 'utf8');
  const after = change(before);
  if (after === before) throw new Error(`the change has no effect on ${path}`);
  await writeFile(path, after);
}

/** An edit that replaces `ro` in the prepared fstab, for a guest without the agent on a writable disk. */
export async function makeWritable(root: string): Promise<void> {
  await editFile(join(root, 'etc/fstab'), (text) => text.replaceAll(/ ro /g, ' defaults '));
}
