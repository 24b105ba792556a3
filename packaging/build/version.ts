import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { inRoot, root } from './paths.ts';

/**
 * Returns the version of package.json, the one place that has it, as rpm writes it: "1.0.0-rc.1" is "1.0.0~rc.1", because
 * in rpm "-" separates the release and "~" sorts before the end of the version.
 */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(inRoot('package.json'), 'utf8')) as { version: string };
  return version.replaceAll('-', '~');
}

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
