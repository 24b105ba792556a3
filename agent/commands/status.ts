import type { SystemReader } from '../system/reader.ts';
import { explain } from '../report/explain.ts';
import { formatNagios, nagiosCodes, nagiosState } from '../report/nagios.ts';
import { formatPrometheus } from '../report/prometheus.ts';
import { type Report, exitCode } from '../report/report.ts';
import { formatText } from '../report/text.ts';
import { clean, toJson } from '../lib/unprintable.ts';
import { evaluateGuest } from '../evaluate.ts';
import type { Output, ReportOptions } from './output.ts';

export interface StatusOptions extends ReportOptions {
  explain?: string;
  nagios?: boolean;
  probe?: boolean;
}

/**
 * `status`: evaluates the guest and prints the report; with --explain, prints the documentation of a check.
 * @returns the exit code; with --nagios, the code of a monitoring plug-in
 */
export async function statusCommand(
  reader: SystemReader,
  output: Output,
  options: StatusOptions,
): Promise<number> {
  if (options.explain !== undefined) {
    output.stdout(explain(options.explain));
    return 0;
  }
  const report = await evaluateGuest(reader, { probe: options.probe === true });
  if (options.nagios === true) {
    output.stdout(formatNagios(report));
    return nagiosCodes[nagiosState(report)];
  }
  printReport(report, output, options);
  return exitCode(report);
}

/** Prints the report to stdout. Also prints configuration errors to stderr, in one line. */
export function printReport(report: Report, output: Output, options: ReportOptions): void {
  output.stdout(formatReport(report, output, options));
  const config = report.checks.find(({ id, status }) => id === 'config-valid' && status === 'fail');
  if (config !== undefined) output.stderr(`immutafs-agent: ${clean(config.observed)}\n`);
}

function formatReport(report: Report, output: Output, options: ReportOptions): string {
  if (options.prometheus) return formatPrometheus(report);
  if (options.json) return `${toJson(report, 2)}\n`;
  const color = options.color === 'always' || (options.color === 'auto' && output.terminal);
  return formatText(report, { all: options.all === true, color, columns: output.columns });
}
