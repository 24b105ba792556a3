import { type AssessedFacts, assess } from './assess/assess.ts';
import { evaluate } from './checks/index.ts';
import { type GatherOptions, gatherFacts } from './facts/gather.ts';
import { type Report, buildReport } from './report/report.ts';
import type { SystemReader } from './system/reader.ts';

/** System -> Facts -> Assess -> Check -> Finding -> Report, once. */
export async function evaluateHost(reader: SystemReader, options?: GatherOptions): Promise<Report> {
  return (await evaluateWithFacts(reader, options)).report;
}

/** As evaluateHost, with the facts of the report. */
export async function evaluateWithFacts(
  reader: SystemReader,
  options?: GatherOptions,
): Promise<{ facts: AssessedFacts; report: Report }> {
  const facts = assess(await gatherFacts(reader, options));
  return { facts, report: buildReport(facts, evaluate(facts), reader.now()) };
}
