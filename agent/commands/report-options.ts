import { Option } from 'commander';

/** The format of a report. */
export interface ReportOptions {
  all?: boolean;
  json?: boolean;
  prometheus?: boolean;
  color: 'auto' | 'always' | 'never';
}

export function jsonOption(): Option {
  return new Option('--json', 'print one JSON object (report.schema.json)');
}

export function prometheusOption(): Option {
  return new Option('--prometheus', "print metrics for node_exporter's textfile collector").conflicts('json');
}

export function colorOption(): Option {
  return new Option('--color <when>', 'when to use colours')
    .choices(['auto', 'always', 'never'])
    .default('auto');
}
