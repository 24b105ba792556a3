import { evaluate } from '../checks/index.ts';
import type { Host } from '../host.ts';
import { type Wanted, gatherFacts } from '../observe/facts.ts';
import { type Report, buildReport } from '../report/report.ts';

/** Host -> Facts -> Check -> Finding -> Report, once. */
export async function evaluateHost(host: Host, wanted?: Wanted): Promise<Report> {
  const facts = await gatherFacts(host, wanted);
  return buildReport(facts, evaluate(facts), host.now());
}
