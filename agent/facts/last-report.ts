import * as v from 'valibot';
import { decodeBytes } from '../lib/format.ts';
import { parseRecord } from '../lib/json-record.ts';
import type { SystemReader } from '../system/reader.ts';
import type { Evidence } from './disks/evidence.ts';
import type { ForeignProgram } from './security/programs/foreign-programs.ts';

/** The file to which `check` writes its report. */
export const reportFile = '/run/immutafs/report.json';

/** The parts of the last report that the agent uses. */
export interface LastReport {
  at: string;
  bootId: string;
  verdict: string;
  /** Maps the id of each check to its status. */
  checks: Map<string, string>;
  disks: Map<string, Evidence>;
  /** The foreign programs that the report lists, as programKey returns them. */
  programs: ReadonlySet<string>;
}

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
export function parseReport(json: string): LastReport {
  const { at, host, verdict, checks, disks, programs } = parseRecord(reportSchema, json, reportFile);
  return {
    ...{ at, bootId: host.bootId, verdict },
    checks: new Map(checks.map(({ id, status }) => [id, status])),
    disks: new Map(disks.map(({ name, ...evidence }) => [name, evidence])),
    programs: new Set(programs?.list.map(programKey)),
  };
}

/** Identifies a program in two reports, and across restarts of its process, in which closures get another name. */
export function programKey({
  path,
  user,
  unit,
  why,
}: Pick<ForeignProgram, 'path' | 'user' | 'unit'> & { why: string }): string {
  return JSON.stringify([why === 'closure' ? why : path, user, unit]);
}
