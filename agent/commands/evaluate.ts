import { evaluate } from '../checks/index.ts';
import type { Host } from '../host.ts';
import { gatherFacts } from '../observe/facts.ts';
import { type Report, buildReport } from '../report/report.ts';

/** Host -> Facts -> Check -> Finding -> Report, once. */
export function evaluateHost(host: Host): Report {
  const facts = gatherFacts(host);
  return buildReport(facts, evaluate(facts), host.now());
}
