import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { scratch } from '../../packaging/build/paths.ts';

/**
 * Downloads and unpacks Debian packages without installing them, so that they cannot conflict.
 *
 * @param name names the directory, which is kept
 * @param members patterns of the files to unpack, such as `./usr/share/doc/*`; by default all files
 *
 * @returns the directory
 */
export function unpack(name: string, packages: readonly string[], members: readonly string[] = []): string {
  const folder = path.join(scratch, 'unpacked', name);
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
  fs.mkdirSync(`${folder}.new`, { recursive: true });
  for (const deb of fs.readdirSync(debs)) {
    execFileSync('ar', ['x', deb], { cwd: debs });
    const data = fs.readdirSync(debs).find((file) => file.startsWith('data.tar')) ?? '';
    const selected = members.length === 0 ? [] : ['--wildcards', ...members];
    execFileSync('tar', ['-C', `${folder}.new`, '-xf', path.join(debs, data), ...selected]);
    fs.rmSync(path.join(debs, data));
  }
  fs.renameSync(`${folder}.new`, folder);
  fs.rmSync(debs, { recursive: true });
  return folder;
}
