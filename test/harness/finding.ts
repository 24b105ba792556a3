import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Finding, Status } from '../../agent/checks/check.ts';
import { evaluateHost } from '../../agent/evaluate.ts';
import type { SystemReader } from '../../agent/system/reader.ts';
import type { Verdict } from '../../agent/report/report.ts';
import type { Change } from './changes.ts';
import { type Guest, goodGuest, withGuest } from './guest.ts';

interface Otherwise {
  /** What cannot be a file of a fixture. */
  as?: (reader: SystemReader) => SystemReader;
  probe?: boolean;
  guest?: Guest;
}

/** What one check says of a good guest that was changed. */
export async function findingOf(
  id: string,
  change: Change,
  { as = (reader) => reader, probe = true, guest = goodGuest() }: Otherwise = {},
): Promise<Finding & { verdict: Verdict }> {
  change(guest);
  const report = await withGuest(guest, (reader) => evaluateHost(as(reader), { probe }));
  const finding = report.checks.find((each) => each.id === id);
  assert.ok(finding, id);
  return { ...finding, verdict: report.verdict };
}

/** What is changed in a good guest, the status, what is observed. */
type Case = [Change, Status, (string | RegExp)?];
/** By check, by title. */
export type Table = Record<string, Record<string, Case>>;

/** The same for each of a list. */
export function inEach(list: readonly string[], of: (each: string) => Case): Record<string, Case> {
  return Object.fromEntries(list.map((each) => [each, of(each)]));
}

/** A suite a check. */
export function testFindings(prefix: string, table: Table): void {
  for (const [id, cases] of Object.entries(table)) {
    const checks = suite(`${prefix}: ${id}`);
    for (const [title, [change, status, said]] of Object.entries(cases)) {
      checks(title, async () => {
        const finding = await findingOf(id, change);
        assert.is(finding.status, status, finding.observed);
        if (said !== undefined) assert.match(finding.observed, said);
        if (status === 'fail' || status === 'warn') assert.ok(finding.remedy !== '');
      });
    }
    checks.run();
  }
}
