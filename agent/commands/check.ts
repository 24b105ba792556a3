import path from 'node:path';
import type { Output, StatusOptions } from '../cli.ts';
import type { Host } from '../host.ts';
import { openJournal } from '../journal.ts';
import { reportFile } from '../observe/last-report.ts';
import { logReport } from '../report/log.ts';
import { exitCode } from '../report/report.ts';
import { evaluateHost } from './evaluate.ts';
import { printReport } from './status.ts';

/** `check`: looks, logs each finding, and leaves the report for others. */
export async function checkCommand(host: Host, output: Output, options: StatusOptions): Promise<number> {
  const report = await evaluateHost(host, { probe: options.probe === true });
  logReport(report, await openJournal());
  host.makeFolder(path.dirname(reportFile));
  host.writeAtomically(reportFile, `${JSON.stringify(report, null, 2)}\n`, 0o644);
  printReport(report, output, options);
  return exitCode(report);
}
