import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Finding, Status } from '../../agent/checks/check.ts';
import { evaluateGuest } from '../../agent/evaluate.ts';
import type { SystemReader } from '../../agent/system/reader.ts';
import type { Report, Verdict } from '../../agent/report/report.ts';
import type { Change } from './changes.ts';
import { type Guest, goodGuest, withGuest } from './guest.ts';

interface Options {
  /** Wraps the reader, to replace the results of calls that do not read files of the fixture. */
  as?: (reader: SystemReader) => SystemReader;
  probe?: boolean;
  guest?: Guest;
}

/** Returns the finding of one check for a good guest with a change. */
export async function findingOf(
  id: string,
  change: Change,
  { as = (reader) => reader, probe = true, guest = goodGuest() }: Options = {},
): Promise<Finding & { verdict: Verdict }> {
  change(guest);
  const report = await withGuest(guest, (reader) => evaluateGuest(as(reader), { probe }));
  const finding = report.checks.find((each) => each.id === id);
  assert.ok(finding, id);
  return { ...finding, verdict: report.verdict };
}

/** Returns a change that adds the last report of the boot, which root has written about the good guest with a change. */
export async function lastReportOf(change: Change = () => undefined): Promise<Change> {
  const guest = goodGuest();
  change(guest);
  const report = JSON.stringify(await withGuest(guest, (reader) => evaluateGuest(reader, { probe: false })));
  return ({ files }) => {
    files['run/immutafs/report.json'] = report;
  };
}

/** Makes the agent run as a user other than root. */
export const asUser = (reader: SystemReader): SystemReader => ({
  ...reader,
  environment: () => ({ ...reader.environment(), uid: 1000 }),
});

/** A change of the good guest, and the expected status and `observed` of the check. */
type Case = [Change, Status, (string | RegExp)?];
/** Cases by check and title. */
export type Table = Record<string, Record<string, Case>>;

/** Returns a case for each text of a list. */
export function inEach(list: readonly string[], of: (each: string) => Case): Record<string, Case> {
  return Object.fromEntries(list.map((each) => [each, of(each)]));
}

/** Defines and runs one suite for each check. */
export function testFindings(prefix: string, table: Table): void {
  for (const [id, cases] of Object.entries(table)) {
    const checks = suite(prefix === id ? id : `${prefix}: ${id}`);
    for (const [title, [change, status, observed]] of Object.entries(cases)) {
      checks(title, async () => {
        const finding = await findingOf(id, change);
        assert.is(finding.status, status, finding.observed);
        if (observed !== undefined) assert.match(finding.observed, observed);
        if (status === 'fail' || status === 'warn') assert.ok(finding.remedy !== '');
      });
    }
    checks.run();
  }
}

/**
 * By title: a change of the good guest, the checks whose status it changes, and what the first of these checks
 * observes.
 */
export type ChangeTable = Record<string, [Change, Record<string, Status>, (string | RegExp)?]>;

/** Tests that each change of the good guest changes the status of exactly the named checks. */
export function testChanges(name: string, table: ChangeTable): void {
  const changes = suite(`${name}: one change, and only the named checks change`);
  for (const [title, [change, expected, observed]] of Object.entries(table)) {
    changes(title, async () => {
      const before = statusesOf((await reportOfGood()).checks);
      const guest = goodGuest();
      change(guest);
      const report = await withGuest(guest, (reader) => evaluateGuest(reader));
      const differs = ([id, status]: [string, Status]) => before[id] !== status;
      assert.equal(
        Object.fromEntries(Object.entries(statusesOf(report.checks)).filter(differs)),
        Object.fromEntries(Object.entries(expected).filter(differs)),
      );
      const [id] = Object.keys(expected);
      const finding = report.checks.find((each) => each.id === id);
      if (observed !== undefined) assert.match(finding?.observed ?? '', observed);
      assert.is(finding?.status === 'fail' && finding.remedy === '', false, 'a failure names a remedy');
      if (expected['kernel-view'] === 'error') assert.is(report.verdict, 'unknown');
    });
  }
  changes.run();
}

let good: Promise<Report> | undefined;

/** Returns the report of the unchanged guest, which is made only once. */
function reportOfGood(): Promise<Report> {
  good ??= withGuest(goodGuest(), (reader) => evaluateGuest(reader));
  return good;
}

function statusesOf(findings: readonly Finding[]): Record<string, Status> {
  return Object.fromEntries(findings.map(({ id, status }) => [id, status]));
}
