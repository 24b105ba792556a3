import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Step } from '../../agent/prepare/engine/step.ts';
import { type Ran } from './namespace.ts';
import { repository } from './repository.ts';
import { inTemporaryDirectory } from './temporary.ts';

const setUp = path.join(import.meta.dirname, 'small-system.sh');

/**
 * Runs a script as root of a small system, of which nothing remains afterwards. The root is an XFS on a partition of
 * $system, a loop device that also has the partition $volume. The programs and devices are those of this machine; /home
 * and /etc are private. $disk is a second, empty disk.
 * `agent` starts the agent; small-system-inside.sh defines further functions. Requires root.
 * @param script POSIX sh, run with -e
 * @param sizeMiB size of $disk
 */
export function inSmallSystem(script: string, sizeMiB = 400, timeout = 120_000): Ran {
  return inTemporaryDirectory((folder) => {
    const isolated = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'];
    const args = [...isolated, 'sh', '-e', setUp, repository, folder, String(sizeMiB), script];
    const { status, stdout, stderr } = spawnSync('unshare', args, {
      encoding: 'utf8',
      timeout,
      killSignal: 'SIGKILL',
    });
    return { code: status, stdout, stderr };
  }, '/tmp');
}

/**
 * Runs a script, in which `json STEP` prints the plan of a step as JSON.
 * @returns the steps of these plans, and all other output
 * @throws Error with all output if the script fails
 */
export function plansOf(script: string): { steps: Step[]; printed: string } {
  const { stdout, stderr, code } = inSmallSystem(script);
  if (code !== 0) throw new Error(`${code}: ${stdout}${stderr}`);
  const lines = stdout.split('\n');
  const isPlan = (line: string) => line.startsWith('{ "schema"');
  return {
    steps: lines.filter(isPlan).flatMap((line) => (JSON.parse(line) as { steps: Step[] }).steps),
    printed: lines.filter((line) => !isPlan(line)).join('\n'),
  };
}

/** Returns lines of sh that build /run/noarch/NAME-1-1.noarch.rpm with these files. @param owned what it owns */
export function buildPackage(name: string, files: readonly string[], owned: readonly string[]): string {
  return `cat >/run/spec <<'SPEC'
Name: ${name}
Version: 1
Release: 1
Summary: x
License: x
BuildArch: noarch
%description
%install
${files.map((file) => `echo x | install -D -m 0644 /dev/stdin %{buildroot}${file}`).join('\n')}
%files
${owned.join('\n')}
SPEC
    HOME=/run rpmbuild -bb --define '_topdir /run/rpm' --define '_rpmdir /run' /run/spec >/run/build 2>&1 || cat /run/build`;
}
