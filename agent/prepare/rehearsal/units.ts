import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

export interface UnitStates {
  /** The failed units with the reason that systemd gives, such as `exit-code` (systemctl show, Result). */
  failed: Map<string, string>;
  /** The units that were not started because a condition was not met. */
  skipped: Set<string>;
}

const systemctl = '/usr/bin/systemctl';
const properties = 'Id,ActiveState,Result,ConditionResult,ConditionTimestampMonotonic';
/** In milliseconds. At shutdown, the recorder has to end within TimeoutStopSec= of its unit. */
const deadline = 20_000;

/**
 * Reads the states of all units. systemd answers one request for each unit, which takes long on a starved guest.
 *
 * @param limit in milliseconds @throws SystemError if systemctl fails
 */
export async function readUnits(reader: SystemReader, limit = deadline): Promise<UnitStates> {
  const args = ['show', '--no-pager', `--property=${properties}`, '*'];
  const { stdout, ended } = await reader.run(systemctl, args, limit);
  if (ended !== 'good') throw new SystemError(`systemctl show failed (${ended})`);
  return parseUnits(stdout);
}

/** Parses the output of `systemctl show`: lines KEY=VALUE, with an empty line between two units. */
export function parseUnits(text: string): UnitStates {
  const states: UnitStates = { failed: new Map(), skipped: new Set() };
  for (const block of text.split('\n\n')) {
    const value = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(block)?.[1] ?? '';
    const id = value('Id');
    if (id === '') continue;
    const wasChecked = !['', '0'].includes(value('ConditionTimestampMonotonic'));
    if (value('ActiveState') === 'failed') states.failed.set(id, value('Result'));
    else if (value('ActiveState') === 'inactive' && wasChecked && value('ConditionResult') === 'no')
      states.skipped.add(id);
  }
  return states;
}

/**
 * Returns whether systemd has started everything that it was going to start, and whether it is shutting the guest down
 * (systemctl(1), is-system-running).
 */
export async function readProgress(
  reader: SystemReader,
): Promise<{ isComplete: boolean; isStopping: boolean }> {
  // The exit code is 0 only for `running`.
  const state = (await reader.run(systemctl, ['is-system-running'], deadline)).stdout.trim();
  const isComplete = ['running', 'degraded', 'maintenance'].includes(state);
  return { isComplete, isStopping: state === 'stopping' };
}
