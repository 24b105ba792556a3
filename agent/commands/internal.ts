import type { Command } from 'commander';
import type { Context } from './command.ts';

/** Defines the commands that only the agent itself and its units run. */
export function addInternal(root: Command, { reader, loadWriter, output, exit }: Context): void {
  root
    .command('probe <path> <kind...>', { hidden: true })
    .description('try operations at a path; internal')
    .action(async (target: string, kinds: string[]) => {
      const { probeCommand } = await import('./probe.ts');
      probeCommand(output, target, kinds);
    });
  root
    .command('try-writes <path...>', { hidden: true })
    .description('try a write at each path; internal')
    .action(async (targets: string[]) => {
      const { tryWritesCommand } = await import('./probe.ts');
      tryWritesCommand(output, targets);
    });
  root
    .command('record-rehearsal', { hidden: true })
    .description('record a rehearsal; internal')
    .action(async () => {
      const { recordCommand } = await import('./rehearsal.ts');
      exit(await recordCommand(reader, await loadWriter()));
    });
  root
    .command('move-at-boot', { hidden: true })
    .description('carry out what prepare has recorded for this boot; internal')
    .action(async () => {
      const { moveCommand } = await import('./move.ts');
      exit(await moveCommand(reader, await loadWriter(), output));
    });
}
