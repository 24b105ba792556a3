import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Changes a file's text in place, so that it keeps its owner, mode and SELinux label.
 *
 * @throws if `change` changes nothing: a scenario that breaks a guest must not pass because it did not
 */
export async function editFile(path: string, change: (text: string) => string): Promise<void> {
  const before = await readFile(path, 'utf8');
  const after = change(before);
  if (after === before) throw new Error(`${path} stays as it is`);
  await writeFile(path, after);
}

/** An edit: what the prepared fstab has `ro` becomes writable, for a guest without the agent on a writable disk. */
export async function makeWritable(root: string): Promise<void> {
  await editFile(join(root, 'etc/fstab'), (text) => text.replaceAll(/ ro /g, ' defaults '));
}
