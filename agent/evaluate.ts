import { type AssessedFacts, assess } from './assess/assess.ts';
import { evaluate } from './checks/index.ts';
import { type GatherOptions, gatherFacts } from './facts/facts.ts';
import { type Report, buildReport } from './report/report.ts';
import type { SystemReader } from './system/reader.ts';

/** Evaluates the guest once: gathers the facts, makes the judgements, runs the checks and builds the report. */
export async function evaluateGuest(reader: SystemReader, options?: GatherOptions): Promise<Report> {
  return (await evaluateWithFacts(reader, options)).report;
}

/** Same as evaluateGuest, and also returns the facts. */
export async function evaluateWithFacts(
  reader: SystemReader,
  options?: GatherOptions,
): Promise<{ facts: AssessedFacts; report: Report }> {
  const facts = assess(await gatherFacts(reader, options));
  return { facts, report: buildReport(facts, evaluate(facts), reader.now()) };
}
