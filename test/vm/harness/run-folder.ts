import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { workFolder } from './cache.ts';

/** Calls `work` with a temporary folder. Folders of killed processes are removed as well. */
export async function withRunFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const runs = join(workFolder, 'run');
  await mkdir(runs, { recursive: true });
  for (const name of await readdir(runs)) {
    if (!isRunning(Number(name.split('-')[0]))) await rm(join(runs, name), { recursive: true, force: true });
  }
  const folder = await mkdtemp(join(runs, `${process.pid}-`));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
