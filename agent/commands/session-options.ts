import { type Command, Option } from 'commander';
import type { SessionOptions } from './session.ts';
import type { Context } from './command.ts';

/** Defines the commands `session` and `end-session`. */
export function addSession(root: Command, { reader, loadWriter, output, exit }: Context): void {
  root
    .command('session [command...]')
    .description(
      'run a shell, or a command, with tools for this boot only: in a mount namespace of its own, whose changes of /etc no other process sees, and which are discarded at its end',
    )
    .option(
      '--allow-install',
      'also make /usr, /opt and the data of the package managers writable in the session, so that package managers can install programs',
    )
    .option(
      '--allow-policy-load',
      'also permit programs of the session to load an SELinux policy, as scriptlets that run semodule do. The policy stays in the kernel until the reboot. Without this option, they get "Read-only file system"',
    )
    .addOption(new Option('--limit <duration>', 'the time after which the session is ended').default('4h'))
    .addOption(new Option('--size <size>', 'memory for what is written in the session').default('25%'))
    .action(async (command: string[], options: SessionOptions) => {
      const { sessionCommand } = await import('./session.ts');
      exit(await sessionCommand(reader, await loadWriter(), output, command, options));
    });
  root
    .command('end-session <number>', { hidden: true })
    .description('end a session; internal')
    .action(async (number: string) => {
      const { endSession } = await import('./session.ts');
      await endSession(reader, await loadWriter(), Number(number));
    });
}
