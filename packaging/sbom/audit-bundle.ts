/**
 * audit-bundle.ts: compares the software in the package with the advisories of the npm registry, the updates that apt
 * knows, and the end of life of Node and glibc. Exit codes: 0 nothing to do, 1 a bundled part needs an update, 3 a source
 * did not answer.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { build } from '../build/build.ts';
import { thirdPartyList } from '../build/paths.ts';
import { type Advisory, npmAdvisories } from './advisories.ts';
import { endOfLife, support } from './end-of-life.ts';
import type { ThirdParty } from './third-party.ts';

export interface Sources {
  software: readonly Pick<ThirdParty, 'name' | 'version' | 'purl'>[];
  /** @throws Error if the registry does not answer */
  advisories: () => Advisory[];
  /**
   * Returns the newest version of each of these Debian packages that apt knows.
   * @throws Error if apt-cache cannot be run
   */
  candidates: (names: readonly string[]) => ReadonlyMap<string, string>;
  /** YYYY-MM-DD. */
  today: string;
}

/** Returns the lines to print and the exit code. */
export function auditBundle({ software, advisories, candidates, today }: Sources): {
  lines: string[];
  code: 0 | 1 | 3;
} {
  const lines: string[] = [`${software.length} components of other projects are in the package`];
  let [isOutdated, isUnknown] = [false, false];
  for (const component of software.filter(({ name }) => Object.hasOwn(endOfLife, name))) {
    const { line, ended } = support(component, today);
    lines.push(line);
    isOutdated ||= ended;
  }
  const notChecked = (error: unknown) => {
    isUnknown = true;
    lines.push(`not checked: ${error instanceof Error ? error.message : String(error)}`);
  };
  try {
    const packages = software.filter(({ purl }) => purl.startsWith('pkg:deb/'));
    const newestVersions = candidates(packages.map(({ name }) => name));
    for (const { name, version } of packages) {
      const newest = newestVersions.get(name);
      if (newest === version) continue;
      if (newest === undefined) isUnknown = true;
      else isOutdated = true;
      lines.push(`${name} ${version}: apt knows ${newest ?? 'no version'}`);
    }
  } catch (error) {
    notChecked(error);
  }
  try {
    const found = advisories();
    const isBundled = ({ name, version }: Advisory) =>
      software.some((each) => each.name === name && each.version === version);
    for (const { name, version, severity } of found.filter(isBundled))
      lines.push(`${name} ${version}: ${severity} advisory, in the package`);
    isOutdated ||= found.some(isBundled);
    const others = found.filter((each) => !isBundled(each)).map(({ name, version }) => `${name} ${version}`);
    lines.push(`npm audit: ${found.length - others.length} advisories for packages in the bundle`);
    if (others.length > 0) lines.push(`npm audit: also for build tools: ${others.join(', ')}`);
  } catch (error) {
    notChecked(error);
  }
  return { lines, code: isOutdated ? 1 : isUnknown ? 3 : 0 };
}

/** Runs `apt-cache policy`. The answer is as old as the last `apt-get update`. */
function aptCandidates(names: readonly string[]): Map<string, string> {
  const text = execFileSync('apt-cache', ['policy', ...names], { env: { LC_ALL: 'C' }, encoding: 'utf8' });
  const found = text.matchAll(/^(\S+):\n {2}Installed: .*\n {2}Candidate: (\S+)$/gm);
  return new Map(
    [...found]
      .map(([, name = '', version = '']) => [name, version] as const)
      .filter(([, version]) => version !== '(none)'),
  );
}

if (import.meta.main) {
  await build();
  const { lines, code } = auditBundle({
    software: JSON.parse(readFileSync(thirdPartyList, 'utf8')) as ThirdParty[],
    advisories: npmAdvisories,
    candidates: aptCandidates,
    today: new Date().toISOString().slice(0, 10),
  });
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
  process.exitCode = code;
}
