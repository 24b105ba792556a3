import { type Command, Option } from 'commander';
import { UsageError } from '../lib/errors.ts';
import type { CheckOptions } from './check.ts';
import type { Context } from './command.ts';
import { colorOption, jsonOption, prometheusOption } from './report-options.ts';

/** Defines the command `check`. */
export function addCheck(root: Command, { reader, loadWriter, output, exit }: Context): void {
  root
    .command('check')
    .description(
      'evaluate the guest as status does, log changes to the journal, and write /run/immutafs/report.json',
    )
    .option('--boot', 'log every finding, not only changes since the previous check of this boot')
    .addOption(jsonOption())
    .addOption(prometheusOption())
    .addOption(colorOption())
    .addOption(
      new Option(
        '--ready-to-seal',
        'only show whether this guest can be sealed as it is (exit code 0) or which steps remain (1)',
      ).conflicts(['boot', 'json', 'prometheus']),
    )
    .option('--image', 'with --ready-to-seal: in a chroot, examine the files of an image')
    .allowExcessArguments(false)
    .action(async (options: CheckOptions) => {
      if (options.readyToSeal === true) {
        const { readyCommand } = await import('./prepare.ts');
        exit(await readyCommand(reader, output, options.image));
      } else {
        if (options.image === true) throw new UsageError('--image needs --ready-to-seal');
        const { checkCommand } = await import('./check.ts');
        exit(await checkCommand(reader, await loadWriter(), output, options));
      }
    });
}
