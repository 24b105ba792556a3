import { evaluate } from '../checks/index.ts';
import type { Host } from '../host.ts';
import { type Facts, type Wanted, gatherFacts } from '../observe/facts.ts';
import { type Report, buildReport } from '../report/report.ts';

/** Host -> Facts -> Check -> Finding -> Report, once. */
export async function evaluateHost(host: Host, wanted?: Wanted): Promise<Report> {
  return (await evaluateFacts(host, wanted)).report;
}

/** Likewise, with the facts that the report is about. */
export async function evaluateFacts(host: Host, wanted?: Wanted): Promise<{ facts: Facts; report: Report }> {
  const facts = await gatherFacts(host, wanted);
  return { facts, report: buildReport(facts, evaluate(facts), host.now()) };
}
