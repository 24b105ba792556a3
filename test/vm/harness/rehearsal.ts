import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Outcome } from '../../../agent/prepare/rehearsal/outcome.ts';
import type { RehearsalReport, Request } from '../../../agent/prepare/rehearsal/record.ts';
import type { Boot } from './guest.ts';

const folder = 'etc/immutafs/rehearsal';

/** Services that work in maintenance mode, and in a sealed boot only with `overlayLine`. */
const writers: Record<string, string> = {
  'opt-writer': 'Type=oneshot\nExecStart=/bin/sh -c "echo state >/opt/agent/data/state"',
  'etc-writer':
    'Type=oneshot\nExecStart=/bin/sh -c "echo key >/etc/vendor/key.new && mv /etc/vendor/key.new /etc/vendor/key"',
};
/** The line that a rehearsal with these services proposes. */
export const overlayLine = 'OVERLAY=/etc/vendor /opt/agent/data';
/** Prints what the services have written. */
export const written = 'cat /opt/agent/data/state /etc/vendor/key';

/** Adds the services that write to /opt and /etc, and further ones. @param more lines of [Service] by name */
export async function addServices(root: string, more: Record<string, string> = {}): Promise<void> {
  const units = join(root, 'etc/systemd/system');
  for (const target of ['opt/agent/data', 'etc/vendor']) {
    await mkdir(join(root, target), { recursive: true });
    await chmod(join(root, target), 0o755);
  }
  for (const [name, lines] of Object.entries({ ...writers, ...more })) {
    await writeFile(join(units, `${name}.service`), `[Unit]\nDescription=${name}\n[Service]\n${lines}\n`);
    await symlink(`../${name}.service`, join(units, 'multi-user.target.wants', `${name}.service`));
  }
}

/**
 * Writes the files of `prepare --rehearse`, as if it had been called in an earlier boot in which nothing had failed.
 */
export async function requestRehearsal(root: string, limitSeconds: number): Promise<void> {
  const request: Request = {
    ...{
      schema: 1,
      id: 'of-the-test',
      requestedAt: new Date().toISOString(),
      bootId: 'earlier',
      limitSeconds,
    },
    baseline: { failed: [], skipped: [], refused: [] },
  };
  await mkdir(join(root, folder), { mode: 0o700 });
  await writeFile(join(root, folder, 'request.json'), JSON.stringify(request), { mode: 0o600 });
  await writeFile(join(root, folder, 'requested'), `${limitSeconds}\n`, { mode: 0o600 });
}

/** A step for `outcomeOf` and `ended`. */
export const outcomeStep = 'immutafs-agent prepare --json --only mtab';
/** Tells whether a rehearsal is requested. */
export const marker = `test -e /${folder}/requested`;
/** Prints the report on the disk. */
export const savedReport = `cat /${folder}/report.json`;
/** Waits until the report on the disk says that the boot is complete. */
export const settled = `timeout 300 sh -c 'until grep -q "settledSeconds...[0-9]" /${folder}/report.json; do sleep 1; done'`;
/** The guest ends by the reboot, not by the end of the steps. */
export const untilReboot = 'sleep 900';

/** Returns the outcome of the last rehearsal as a step reported it; null if there was none. */
export function outcomeOf(boot: Boot, step: string): Outcome | null {
  const { stdout, stderr } = boot.step(step);
  assert.match(stdout, /^\{/, stderr);
  return (JSON.parse(stdout) as { rehearsal: Outcome | null }).rehearsal;
}

/** Returns the report of a rehearsal that has ended in this way. */
export function ended(boot: Boot, step: string, how: string): RehearsalReport {
  const outcome = outcomeOf(boot, step);
  if (outcome?.state !== 'ended') throw new Error(JSON.stringify(outcome));
  assert.is(outcome.how, how);
  return outcome.report;
}
