import * as v from 'valibot';
import { parseRecord } from '../lib/json-record.ts';
import type { SystemReader } from '../system/reader.ts';

/** The file in which the first `check` of a boot records a state that later commands compare with the present one. */
export const bootStateFile = '/run/immutafs/boot-state.json';

const stateSchema = v.object({
  bootId: v.string(),
  /** The time of the boot according to the clock, in milliseconds since the epoch. */
  booted: v.pipe(v.number(), v.finite()),
  /** Hashes of start-up files in home directories (changes/homes.ts), one character per byte (latin1). */
  homes: v.string(),
});
type BootState = v.InferOutput<typeof stateSchema>;

const maximumBytes = 1024 * 1024;

/**
 * Reads the state that was recorded in this boot; undefined if there is none.
 * @throws Error for a malformed file; SystemError if a user other than root can have written it
 */
export function readBootState(reader: SystemReader, bootId: string): BootState | undefined {
  const text = reader.readRecord(bootStateFile, 'root', maximumBytes);
  if (text === undefined) return undefined;
  const state = parseRecord(stateSchema, text, bootStateFile);
  if (state.bootId !== bootId || bootId === '') return undefined;
  return { ...state, homes: Buffer.from(state.homes, 'base64').toString('latin1') };
}

export function formatBootState({ bootId, booted, homes }: BootState): string {
  return `${JSON.stringify({ bootId, booted, homes: Buffer.from(homes, 'latin1').toString('base64') })}\n`;
}

/**
 * Returns the time of the boot according to the clock, in milliseconds since the epoch. It changes only if the clock is
 * set, because CLOCK_BOOTTIME follows the corrections of the clock's speed.
 */
export function bootTime(reader: SystemReader): number {
  return reader.now().getTime() - reader.environment().seconds * 1000;
}

/** The change of the clock that is reported, in seconds. Time servers make smaller ones. */
const leastStep = 60;

/** Describes how the clock was set since the state was recorded; undefined if it was not, or by less than a minute. */
export function describeClock({ booted }: BootState, now: number): string | undefined {
  const step = Math.round((now - booted) / 1000);
  if (Math.abs(step) < leastStep) return undefined;
  const how = step < 0 ? 'back' : 'forward';
  return `the clock was set ${how} by ${Math.abs(step)} s since the first check of this boot`;
}
