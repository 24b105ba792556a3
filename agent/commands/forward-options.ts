import type { Command } from 'commander';
import type { ForwardOptions } from './forward.ts';
import type { Context } from './command.ts';

/** Defines the command `forward`. */
export function addForward(root: Command, { reader, loadWriter, output, exit }: Context): void {
  root
    .command('forward')
    .description(
      'forward the journal to the log server that FORWARD names (immutafs-forward.service runs this)',
    )
    .option('--test', 'send one marked entry and show the result of each step')
    .allowExcessArguments(false)
    .action(async (options: ForwardOptions) => {
      const { forwardCommand } = await import('./forward.ts');
      exit(await forwardCommand(reader, loadWriter, output, options));
    });
}
