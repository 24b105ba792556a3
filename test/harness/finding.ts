import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Finding } from '../../agent/checks/check.ts';
import { evaluateGuest } from '../../agent/evaluate.ts';
import type { SystemReader } from '../../agent/system/reader.ts';
import type { Report, Verdict } from '../../agent/report/report.ts';
import { type Change, all } from './changes.ts';
import { type Guest, evaluateFixture, goodGuest, withGuest } from './guest.ts';

interface FindingOptions {
  /** Wraps the reader, to replace the results of calls that do not read files of the fixture. */
  as?: (reader: SystemReader) => SystemReader;
  probe?: boolean;
}

/** Returns the finding of one check for a good guest with a change. */
export async function findingOf(
  id: string,
  change: Change,
  { as = (reader) => reader, probe = true, guest = goodGuest() }: FindingOptions & { guest?: Guest } = {},
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

/** "STATUS" or "STATUS: a part of what is observed"; or a pattern for "STATUS: OBSERVED". */
type Expected = string | RegExp;
/** One or several changes of the guest, then what the check finds and, in a list with it, what its remedy says. */
type Case = [...Change[], Expected | [Expected, remedy: string | RegExp]];
/** Cases by title. */
export type Cases = Record<string, Case>;

/** Returns a case for each text of a list. */
export function inEach<T>(list: readonly string[], of: (each: string) => T): Record<string, T> {
  return Object.fromEntries(list.map((each) => [each, of(each)]));
}

function assertFinding({ status, observed }: Finding, expected: Expected): void {
  const [, wanted, text = ''] = /^(\w+)(?:: (.+))?$/s.exec(String(expected)) ?? [];
  if (expected instanceof RegExp) assert.match(`${status}: ${observed}`, expected);
  else assert.ok(status === wanted && observed.includes(text), `${status}: ${observed}, not ${expected}`);
}

/**
 * Defines and runs a suite for a check.
 * @param name the id of the check; also followed by a colon and what the cases are about
 * @param options `guest` makes the guest that is changed
 */
export function testFindings(
  name: string,
  cases: Cases,
  { guest = goodGuest, ...options }: FindingOptions & { guest?: () => Guest } = {},
): void {
  const findings = suite(name);
  const [id = ''] = name.split(':');
  for (const [title, [...parts]] of Object.entries(cases)) {
    const [expected, remedy] = [parts.pop()].flat() as [Expected, (string | RegExp)?];
    findings(title, async () => {
      const finding = await findingOf(id, all(...(parts as Change[])), { ...options, guest: guest() });
      assertFinding(finding, expected);
      if (remedy !== undefined) assert.match(finding.remedy, remedy);
      assert.is(finding.remedy === '', !['fail', 'warn'].includes(finding.status), finding.remedy);
    });
  }
  findings.run();
}

/**
 * Tests that each change of the good guest changes the status of exactly the named checks; of the check `name` if no
 * other is named.
 * @param also what further checks find in each case that does not name them
 */
export function testChanges(
  name: string,
  cases: Record<string, [...Change[], Expected | Record<string, Expected>]>,
  also: Record<string, Expected> = {},
): void {
  const changes = suite(`${name}: one change, and only the named checks change`);
  for (const [title, [...parts]] of Object.entries(cases)) {
    const last = parts.pop() as Expected | Record<string, Expected>;
    const isOne = typeof last === 'string' || last instanceof RegExp;
    const expected: Record<string, Expected> = { ...also, ...(isOne ? { [name]: last } : last) };
    changes(title, async () => {
      const before = await reportOfGood();
      const guest = goodGuest();
      all(...(parts as Change[]))(guest);
      const report = await evaluateFixture(guest);
      for (const finding of report.checks) {
        const { id, status } = finding;
        const text = expected[id];
        if (text !== undefined) assertFinding(finding, text);
        else assert.is(status, before.checks.find((each) => each.id === id)?.status, id);
        assert.not.ok(status === 'fail' && finding.remedy === '', 'a failure names a remedy');
        if (id === 'kernel-view' && status === 'error') assert.is(report.verdict, 'unknown');
      }
      const ids = report.checks.map(({ id }) => id);
      assert.equal(
        Object.keys(expected).filter((id) => !ids.includes(id)),
        [],
      );
    });
  }
  changes.run();
}

let good: Promise<Report> | undefined;

/** Returns the report of the unchanged guest, which is made only once. */
function reportOfGood(): Promise<Report> {
  good ??= evaluateFixture(goodGuest());
  return good;
}
