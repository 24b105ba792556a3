import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Report } from '../../agent/report/report.ts';
import { cached, inPlace, mountRepository, node, repository } from './repository.ts';

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

const main = inPlace(path.join(repository, 'agent/main.ts'));

/**
 * Runs a script in a private mount namespace, so that its mounts do not remain on this machine. Requires root. $scratch
 * is an empty tmpfs, and "$@" starts the agent.
 * @param script POSIX sh
 */
export function inNamespace(script: string, timeout = 60_000): Ran {
  const prologue = `set -e; ${mountRepository}; scratch=/mnt; mount -t tmpfs -o mode=0755 scratch /mnt; `;
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', prologue + script, 'sh'];
  const { status, stdout, stderr } = spawnSync('unshare', [...args, node, cached, main], {
    encoding: 'utf8',
    timeout,
    killSignal: 'SIGKILL',
  });
  return { code: status, stdout, stderr };
}

/**
 * Returns the report that `status --json` printed at the end of a script.
 * @throws Error with the output if it has no report
 */
export function reportOf({ code, stdout, stderr }: Ran): Report {
  try {
    return JSON.parse(stdout.slice(stdout.indexOf('{\n'))) as Report;
  } catch (error) {
    throw new Error(`no report but ${code}: ${stdout}${stderr}`, { cause: error });
  }
}

/** Returns the status of a check and what it observed, as "status: text". */
export function said(report: Report, id: string): string {
  const finding = report.checks.find((each) => each.id === id);
  return `${finding?.status}: ${finding?.observed}`;
}
