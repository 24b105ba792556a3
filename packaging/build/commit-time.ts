import { execFileSync } from 'node:child_process';
import { root } from './paths.ts';

/**
 * Returns the time that the package states as the time of its build, in seconds since 1970: SOURCE_DATE_EPOCH
 * (reproducible-builds.org), which a build from a source archive sets, else the time of the last commit, else now. The
 * same source therefore gives the same package.
 * @throws Error if SOURCE_DATE_EPOCH is not a number
 */
export function commitTime(): string {
  const given = process.env['SOURCE_DATE_EPOCH'];
  if (given !== undefined && given !== '') {
    if (!/^\d{1,12}$/.test(given))
      throw new Error(`SOURCE_DATE_EPOCH is '${given}', not a number of seconds`);
    return given;
  }
  try {
    const args = ['log', '-1', '--format=%ct'];
    return execFileSync('git', args, { cwd: root, stdio: 'pipe', encoding: 'utf8' }).trim();
  } catch {
    return String(Math.floor(Date.now() / 1000));
  }
}
