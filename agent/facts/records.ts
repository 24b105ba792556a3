import * as v from 'valibot';
import { parseRecord } from '../lib/json-record.ts';
import type { SystemReader } from '../system/reader.ts';
import { decodeBytes } from '../lib/format.ts';
import type { Evidence } from './disks/evidence.ts';
import type { ForeignProgram } from './security/programs/foreign-programs.ts';

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

const stateBytes = 1024 * 1024;

/**
 * Reads the state that was recorded in this boot; undefined if there is none.
 * @throws Error for a malformed file; SystemError if a user other than root can have written it
 */
export function readBootState(reader: SystemReader, bootId: string): BootState | undefined {
  const text = reader.readRecord(bootStateFile, 'root', stateBytes);
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

/** The file in which `check` keeps samples of the usage of the upper layer of /var, beside the report. */
export const usageHistoryFile = '/run/immutafs/usage.json';

/** The usage of the upper layer at one moment of this boot. */
export interface UsageSample {
  /** Seconds since the kernel started (CLOCK_BOOTTIME), which changes of the clock do not affect. */
  uptime: number;
  usedBytes: number;
  inodesUsed: number;
}

/** The time between two samples that are kept, in seconds, and their number: together two hours. */
const spacing = 110;
const most = 65;
/** The maximum size of the file; 65 samples take about 4 KiB. */
const historyBytes = 65536;

/**
 * Reads the samples of this boot, the oldest first.
 * @returns an empty list if there is no file, or if another boot wrote it
 * @throws Error for a malformed file; SystemError if a user other than root can have written it
 */
export function readUsageHistory(reader: SystemReader, bootId: string): UsageSample[] {
  const text = reader.readRecord(usageHistoryFile, 'root', historyBytes);
  if (text === undefined) return [];
  const history = parseUsageHistory(decodeBytes(text));
  return history.bootId === bootId && bootId !== '' ? history.samples : [];
}

const plausible = v.pipe(v.number(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
/** Each sample is later than the one before it. */
const historySchema = v.object({
  bootId: v.string(),
  samples: v.pipe(
    v.array(v.strictTuple([plausible, plausible, plausible])),
    v.maxLength(most),
    v.check((rows) => rows.every(([uptime], index) => index === 0 || uptime > (rows[index - 1]?.[0] ?? 0))),
  ),
});

/** Parses the file. @throws Error unless every sample is plausible */
export function parseUsageHistory(text: string): { bootId: string; samples: UsageSample[] } {
  const { bootId, samples } = parseRecord(historySchema, text, usageHistoryFile);
  return {
    bootId,
    samples: samples.map(([uptime, usedBytes, inodesUsed]) => ({ uptime, usedBytes, inodesUsed })),
  };
}

/**
 * Adds a sample and drops the oldest ones. A sample that follows the last one too closely is left out, so that the
 * history covers two hours however often `check` runs.
 */
export function withSample(samples: readonly UsageSample[], now: UsageSample): UsageSample[] {
  const earlier = samples.filter(({ uptime }) => uptime < now.uptime);
  const last = earlier.at(-1);
  if (last !== undefined && now.uptime - last.uptime < spacing) return earlier;
  return [...earlier, now].slice(-most);
}

export function formatUsageHistory(bootId: string, samples: readonly UsageSample[]): string {
  const rows = samples.map(({ uptime, usedBytes, inodesUsed }) => [
    Math.round(uptime * 100) / 100,
    usedBytes,
    inodesUsed,
  ]);
  return `${JSON.stringify({ schema: 1, bootId, samples: rows })}\n`;
}

/** The file to which `check` writes its report. */
export const reportFile = '/run/immutafs/report.json';

/** The parts of the last report that the agent uses. */
export type LastReport = ReturnType<typeof parseReport>;

/**
 * Reads the last report of this boot; undefined if there is none.
 * @throws Error for a malformed report; SystemError if the report cannot be read, or if a user other than root can have
 *     written it
 */
export function readLastReport(reader: SystemReader, bootId: string): LastReport | undefined {
  const text = reader.readRecord(reportFile, 'root');
  if (text === undefined) return undefined;
  const report = parseReport(decodeBytes(text));
  return report.bootId === bootId && bootId !== '' ? report : undefined;
}

const text = v.string();
const reportSchema = v.object({
  at: text,
  host: v.object({ bootId: text }),
  verdict: text,
  checks: v.array(v.object({ id: text, status: text })),
  disks: v.array(
    v.object({ name: text, readOnly: v.boolean(), hostReadOnly: v.nullable(v.boolean()), evidence: text }),
  ),
  /** Missing in reports of earlier versions of the agent; null if the programs were not examined. */
  programs: v.nullish(
    v.object({ list: v.array(v.object({ path: text, user: text, unit: text, why: text })) }),
  ),
});

/** Parses a report. @throws Error that names a missing or invalid field */
export function parseReport(json: string) {
  const { at, host, verdict, checks, disks, programs } = parseRecord(reportSchema, json, reportFile);
  return {
    ...{ at, bootId: host.bootId, verdict },
    /** Maps the id of each check to its status. */
    checks: new Map(checks.map(({ id, status }) => [id, status])),
    disks: new Map<string, Evidence>(disks.map(({ name, ...evidence }) => [name, evidence])),
    /** The foreign programs that the report lists, as programKey returns them. */
    programs: new Set(programs?.list.map(programKey)),
  };
}

/** Identifies a program in two reports, and across restarts of its process. */
export function programKey({ path, user, unit }: Pick<ForeignProgram, 'path' | 'user' | 'unit'>): string {
  return JSON.stringify([path, user, unit]);
}
