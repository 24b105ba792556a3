import { evaluate } from './checks/index.ts';
import type { SystemReader } from './system/reader.ts';
import { type Facts, type Wanted, gatherFacts } from './facts/facts.ts';
import { type Report, buildReport } from './report/report.ts';

/** System -> Facts -> Check -> Finding -> Report, once. */
export async function evaluateHost(reader: SystemReader, wanted?: Wanted): Promise<Report> {
  return (await evaluateFacts(reader, wanted)).report;
}

/** Likewise, with the facts that the report is about. */
export async function evaluateFacts(
  reader: SystemReader,
  wanted?: Wanted,
): Promise<{ facts: Facts; report: Report }> {
  const facts = await gatherFacts(reader, wanted);
  return { facts, report: buildReport(facts, evaluate(facts), reader.now()) };
}
