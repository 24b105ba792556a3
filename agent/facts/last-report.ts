import type { SystemReader } from '../system/reader.ts';
import { decodeBytes, parseJson } from '../lib/format.ts';
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

/** Parses a report. @throws Error that names a missing or invalid field */
export function parseReport(text: string): LastReport {
  const report = parseJson(text, reportFile);
  return {
    at: string(report, 'at'),
    bootId: string(field(report, 'host'), 'bootId'),
    verdict: string(report, 'verdict'),
    checks: new Map(list(report, 'checks').map((each) => [string(each, 'id'), string(each, 'status')])),
    disks: new Map(list(report, 'disks').map((each) => [string(each, 'name'), evidence(each)])),
    programs: new Set(programsOf(report)),
  };
}

/** Returns the programs of a report; none if an earlier version of the agent wrote it, or if they were not examined. */
function programsOf(report: unknown): string[] {
  if (!Object.hasOwn(report as object, 'programs')) return [];
  const programs = field(report, 'programs');
  if (programs === null) return [];
  return list(programs, 'list').map((each) =>
    programKey({
      ...{ path: string(each, 'path'), user: string(each, 'user') },
      ...{ unit: string(each, 'unit'), why: string(each, 'why') },
    }),
  );
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

function evidence(disk: unknown): Evidence {
  const hostReadOnly = field(disk, 'hostReadOnly');
  return {
    readOnly: field(disk, 'readOnly') === true,
    hostReadOnly: typeof hostReadOnly === 'boolean' ? hostReadOnly : null,
    evidence: string(disk, 'evidence'),
  };
}

function field(object: unknown, name: string): unknown {
  if (typeof object !== 'object' || object === null || !Object.hasOwn(object, name)) {
    throw new Error(`${reportFile}: ${name} is missing`);
  }
  return (object as Record<string, unknown>)[name];
}

function string(object: unknown, name: string): string {
  const value = field(object, name);
  if (typeof value !== 'string') throw new Error(`${reportFile}: ${name} is not a string`);
  return value;
}

function list(object: unknown, name: string): unknown[] {
  const value = field(object, name);
  if (!Array.isArray(value)) throw new Error(`${reportFile}: ${name} is not a list`);
  return value;
}
