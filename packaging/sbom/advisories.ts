import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../build/paths.ts';

export interface Advisory {
  /** The npm package. */
  name: string;
  version: string;
  severity: string;
}

interface Answer {
  auditReportVersion?: number;
  message?: string;
  error?: { summary?: string };
  vulnerabilities?: Record<string, { name: string; severity: string; nodes: string[] }>;
}

/**
 * Asks the npm registry for the advisories about the packages of package-lock.json.
 * @throws Error if the registry does not answer. With `offline` in the configuration, npm itself would report that there
 *   are no advisories, so this function overrides that setting.
 */
export function npmAdvisories(): Advisory[] {
  const args = ['audit', '--json', '--package-lock-only', '--offline=false', '--prefer-offline=false'];
  const { stdout, stderr, error } = spawnSync('npm', args, { cwd: root, encoding: 'utf8', timeout: 120_000 });
  if (error !== undefined) throw new Error(`npm audit cannot run: ${error.message}`);
  const answer = parse(stdout);
  if (answer?.auditReportVersion === undefined) {
    const reason = answer?.message ?? answer?.error?.summary ?? stderr.trim().split('\n').at(-1) ?? '';
    throw new Error(`npm audit gave no answer: ${reason}`);
  }
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version?: string }>;
  };
  return Object.values(answer.vulnerabilities ?? {}).flatMap(({ name, severity, nodes }) =>
    nodes.map((node) => ({ name, version: lock.packages[node]?.version ?? '', severity })),
  );
}

function parse(text: string): Answer | undefined {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    return undefined;
  }
}
