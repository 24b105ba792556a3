import { type Command, Option } from 'commander';
import type { Context } from './command.ts';
import { colorOption, jsonOption, prometheusOption } from './report-options.ts';
import type { StatusOptions } from './status.ts';

/** Defines the command `status`. */
export function addStatus(root: Command, { reader, output, exit }: Context): void {
  root
    .command('status')
    .description('show whether this guest is sealed, and what enforces it')
    .option('--all', 'list every check, disk and mount, not only what needs attention')
    .addOption(jsonOption())
    .addOption(prometheusOption())
    .addOption(
      new Option(
        '--nagios',
        'print one line with performance data for a monitoring system, with the exit codes of a plug-in: 0 OK (sealed), 1 WARNING (not sealed by intent, or a required check warns), 2 CRITICAL (a required check failed), 3 UNKNOWN (the state could not be determined)',
      ).conflicts(['all', 'json', 'prometheus']),
    )
    .addOption(
      new Option(
        '--controls',
        'show, for each control of NIST SP 800-53, PCI DSS, ANSSI BP-028, DISA STIG and CIS that the checks are evidence for, whether they pass',
      ).conflicts(['prometheus', 'nagios', 'explain']),
    )
    .addOption(
      new Option('--explain <check>', 'explain a check: what it verifies, why, and how to fix it').conflicts([
        'all',
        'json',
        'prometheus',
        'nagios',
        'probe',
      ]),
    )
    .option(
      '--probe',
      'also try the operations that REQUIRE_OPTIONS forbids: run a program and a set-uid program, open a device',
    )
    .addOption(colorOption())
    .allowExcessArguments(false)
    .action(async (options: StatusOptions) => {
      const { statusCommand } = await import('./status.ts');
      exit(await statusCommand(reader, output, options));
    });
}
