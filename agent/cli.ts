import { Command, CommanderError } from 'commander';
import { addChanges } from './commands/changes-options.ts';
import { addCheck } from './commands/check-options.ts';
import type { Context, LoadWriter } from './commands/command.ts';
import { addForward } from './commands/forward-options.ts';
import { addIdentity } from './commands/identity-options.ts';
import { addInternal } from './commands/internal.ts';
import type { Output } from './commands/output.ts';
import { addPrepare } from './commands/prepare-options.ts';
import { addSession } from './commands/session-options.ts';
import { addStatus } from './commands/status-options.ts';
import { addVersion } from './commands/version.ts';
import { UsageError, errorMessage } from './lib/errors.ts';
import { clean } from './lib/format.ts';
import { nagiosCodes, nagiosError } from './report/nagios.ts';
import { type SystemReader, systemReader } from './system/reader.ts';
import { version } from './lib/version.ts';

/**
 * Runs one command. Never throws.
 * @param argv the arguments after the program's name
 * @param loadWriter loads the system writer, without which commands that change nothing start faster
 * @returns the exit code (DESIGN, "Commands")
 */
export async function run(
  argv: string[],
  reader: SystemReader,
  loadWriter: LoadWriter,
  output: Output,
): Promise<number> {
  let code = 0;
  const exit = (result: number) => {
    code = result;
  };
  try {
    if (argv.length === 0) throw new UsageError('no command given; see immutafs-agent help');
    await program({ reader, loadWriter, output, exit }).parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const usage = error instanceof CommanderError || error instanceof UsageError;
    // For `help` with an unknown command, commander shows the help instead of an error.
    const isUnknown = error instanceof CommanderError && error.code === 'commander.help';
    const shown = isUnknown ? new UsageError(`unknown command '${argv[1] ?? ''}'`) : error;
    if (argv[0] === 'status' && argv.includes('--nagios')) {
      // A monitoring system reads stdout, and would take the exit code 2 of a usage error for CRITICAL.
      output.stdout(nagiosError(oneLine(shown)));
      return nagiosCodes.UNKNOWN;
    }
    output.stderr(`immutafs-agent: ${oneLine(shown)}\n`);
    return usage ? 2 : 3;
  }
}

function oneLine(error: unknown): string {
  const words = errorMessage(error)
    .replace(/^error: /, '')
    .trim()
    .replace(/\s*\n\s*/g, ' ');
  // The message may contain names of files and processes, which any user can choose.
  return clean(words);
}

/**
 * The functions that define the commands, in the order of the help. The modules that run a command are imported only when it
 * runs, because loading all modules takes longer than running `status`.
 */
const commands = [
  addStatus,
  addCheck,
  addChanges,
  addForward,
  addIdentity,
  addPrepare,
  addSession,
  addVersion,
  addInternal,
];

function program(context: Context): Command {
  const { output } = context;
  const root = new Command('immutafs-agent')
    .description('Keeps a guest working on a read-only system disk, and verifies that it is sealed.')
    .version(version)
    .helpCommand('help [command]', 'show the help of a command')
    .exitOverride()
    .configureOutput({ writeOut: output.stdout, writeErr: () => undefined })
    .addHelpText('after', exitCodes);
  for (const add of commands) add(root, context);
  return root;
}

/** Returns the public commands with their options, for the manual page and the completion. They must not be run. */
export function commandLine(): { commands: readonly Command[] } {
  const nothing = () => undefined;
  const noWriter = () => Promise.reject(new Error('no command is run'));
  const output = { stdout: nothing, stderr: nothing, terminal: false };
  const root = program({ reader: systemReader(), loadWriter: noWriter, output, exit: nothing });
  return {
    commands: root
      .createHelp()
      .visibleCommands(root)
      .filter((command) => command.name() !== 'help'),
  };
}

const exitCodes = `
Exit codes: 0 sealed, every required check passed; 1 a required check failed;
2 usage or configuration error; 3 a required check could not be evaluated;
4 not sealed by intent (maintenance, rehearsal or off). Exit codes of prepare
and check --ready-to-seal: 0 no step remains, or with --reboot, the rest is
left for the next boot; 1 steps remain or are blocked, or the guest is sealed.
Exit codes of changes: 0 everything was compared; 3 not everything was
compared; 4 there is no layer by intent. The exit code of session is that of
its command. Exit codes of status --nagios:
0 OK; 1 WARNING; 2 CRITICAL; 3 UNKNOWN.`;
