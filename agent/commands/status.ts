import type { SystemReader } from '../system/reader.ts';
import { formatNagios, nagiosCodes, nagiosState } from '../report/nagios.ts';
import { formatPrometheus } from '../report/prometheus.ts';
import { type Report, exitCode } from '../report/report.ts';
import { formatText } from '../report/text.ts';
import { clean, toJson } from '../lib/unprintable.ts';
import { evaluateWithFacts } from '../evaluate.ts';
import { type Config, configFile } from '../config/config.ts';
import type { Output } from './output.ts';
import type { ReportOptions } from './report-options.ts';

export interface StatusOptions extends ReportOptions {
  controls?: boolean;
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
    // Loaded only when needed, because the documentation of the checks is large.
    const { explain } = await import('../report/explain.ts');
    output.stdout(explain(options.explain));
    return 0;
  }
  const { facts, report } = await evaluateWithFacts(reader, { probe: options.probe === true });
  if (options.nagios === true) {
    output.stdout(formatNagios(report));
    return nagiosCodes[nagiosState(report)];
  }
  if (options.controls === true) await printControls(report, facts.config, output, options);
  else printReport(report, output, options);
  return exitCode(report);
}

async function printControls(
  report: Report,
  config: Config,
  output: Output,
  options: StatusOptions,
): Promise<void> {
  // Loaded only when needed, because the table is large.
  const { formatControls, withControls } = await import('../report/controls.ts');
  const extended = withControls(report, config);
  output.stdout(
    options.json === true ? `${toJson(extended, 2)}\n` : formatControls(extended, textView(output, options)),
  );
}

/** Prints the report to stdout. Also prints configuration errors to stderr, in one line. */
export function printReport(report: Report, output: Output, options: ReportOptions): void {
  output.stdout(formatReport(report, output, options));
  const config = report.checks.find(({ id, status }) => id === 'config-valid' && status === 'fail');
  if (config !== undefined) output.stderr(`immutafs-agent: ${configFile}: ${clean(config.observed)}\n`);
}

function formatReport(report: Report, output: Output, options: ReportOptions): string {
  if (options.prometheus) return formatPrometheus(report);
  if (options.json) return `${toJson(report, 2)}\n`;
  return formatText(report, textView(output, options));
}

function textView(output: Output, { all, color: when }: ReportOptions) {
  const color = when === 'always' || (when === 'auto' && output.terminal);
  return { all: all === true, color, columns: output.columns };
}
