import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { scratch } from '../../packaging/build/paths.ts';

/** Unpacks Debian packages without installing them, so that they cannot conflict. @returns the folder */
export function unpack(name: string, packages: readonly string[]): string {
  const folder = path.join(scratch, 'bench', name);
  if (fs.existsSync(folder)) return folder;
  const debs = `${folder}.debs`;
  fs.mkdirSync(debs, { recursive: true });
  const download = () =>
    execFileSync('apt-get', ['download', '-qq', ...packages], { cwd: debs, stdio: 'pipe' });
  try {
    download();
  } catch {
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'pipe' });
    download();
  }
  for (const deb of fs.readdirSync(debs)) execFileSync('dpkg', ['-x', path.join(debs, deb), `${folder}.new`]);
  fs.renameSync(`${folder}.new`, folder);
  fs.rmSync(debs, { recursive: true });
  return folder;
}
