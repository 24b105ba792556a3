import { readFileSync } from 'node:fs';
import { inRoot } from './paths.ts';

/**
 * Returns the version of package.json, the one place that has it, as rpm writes it: "1.0.0-rc.1" is "1.0.0~rc.1", because
 * in rpm "-" separates the release and "~" sorts before the end of the version.
 */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(inRoot('package.json'), 'utf8')) as { version: string };
  return version.replaceAll('-', '~');
}
