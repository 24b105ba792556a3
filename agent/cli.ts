import { Command, CommanderError, Option } from 'commander';
import { type CheckOptions, checkCommand } from './commands/check.ts';
import type { ForwardOptions } from './commands/forward.ts';
import type { Output } from './commands/output.ts';
import type { PrepareOptions } from './commands/prepare.ts';
import { type StatusOptions, statusCommand } from './commands/status.ts';
import { UsageError, errorMessage } from './lib/errors.ts';
import { clean } from './lib/format.ts';
import { type SystemReader, systemReader } from './system/reader.ts';
import { stepIds } from './prepare/engine/step.ts';
import { version } from './lib/version.ts';

/**
 * Runs one command.
 * @param argv the arguments after the program's name
 * @returns the exit code (DESIGN, "Commands"); never throws
 */
export async function run(argv: string[], reader: SystemReader, output: Output): Promise<number> {
  let code = 0;
  const done = (result: number) => {
    code = result;
  };
  try {
    if (argv.length === 0) throw new UsageError('no command given; see immutafs-agent help');
    await program(reader, output, done).parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const usage = error instanceof CommanderError || error instanceof UsageError;
    // `help` of what is no command: commander shows the help instead of saying so.
    const unknown = error instanceof CommanderError && error.code === 'commander.help';
    const said = unknown ? new UsageError(`unknown command '${argv[1] ?? ''}'`) : error;
    output.stderr(`immutafs-agent: ${oneLine(said)}\n`);
    return usage ? 2 : 3;
  }
}

function oneLine(error: unknown): string {
  const words = errorMessage(error)
    .replace(/^error: /, '')
    .trim()
    .replace(/\s*\n\s*/g, ' ');
  // With names of files and processes, which are anybody's words.
  return clean(words);
}

/** A command's module is imported when the command is run: loading them all takes longer than `status` to answer. */
function program(reader: SystemReader, output: Output, done: (code: number) => void): Command {
  const root = new Command('immutafs-agent')
    .description('Proves that this guest is sealed, and makes it work that way.')
    .version(version)
    .helpCommand('help [command]', 'show what a command does')
    .exitOverride()
    .configureOutput({ writeOut: output.stdout, writeErr: () => undefined })
    .addHelpText('after', exitCodes);
  root
    .command('status')
    .description('say whether this guest is sealed, and by whose doing')
    .addOption(new Option('--json', 'one JSON object (report.schema.json)'))
    .addOption(prometheusOption())
    .addOption(
      new Option('--explain <check>', 'say what a check means and how to mend it').conflicts([
        'json',
        'prometheus',
        'probe',
      ]),
    )
    .option('--probe', 'also try what REQUIRE_OPTIONS forbids: run a program, a set-uid one, open a device')
    .addOption(colorOption())
    .allowExcessArguments(false)
    .action(async (options: StatusOptions) => done(await statusCommand(reader, output, options)));
  root
    .command('check')
    .description(
      'the same; log what changed to the journal and leave the report in /run/immutafs/report.json',
    )
    .option('--boot', 'log every finding, not only what changed since the last check of this boot')
    .addOption(new Option('--json', 'one JSON object (report.schema.json)'))
    .addOption(prometheusOption())
    .addOption(colorOption())
    .addOption(
      new Option(
        '--ready-to-seal',
        'only say whether this guest can be sealed as it is (0), or what is missing (1)',
      ).conflicts(['boot', 'json', 'prometheus']),
    )
    .allowExcessArguments(false)
    .action(async (options: CheckOptions) => {
      if (options.readyToSeal === true) {
        const { readyCommand } = await import('./commands/prepare.ts');
        done(await readyCommand(reader, output));
      } else {
        done(await checkCommand(reader, output, options));
      }
    });
  root
    .command('probe <path> <kind...>', { hidden: true })
    .description('try things at a path; for the agent itself')
    .action(async (target: string, kinds: string[]) => {
      const { probeCommand } = await import('./commands/probe.ts');
      probeCommand(output, target, kinds);
    });
  root
    .command('try-writes <path...>', { hidden: true })
    .description('try a write at each path; for the agent itself')
    .action(async (targets: string[]) => {
      const { tryWritesCommand } = await import('./commands/probe.ts');
      tryWritesCommand(output, targets);
    });
  root
    .command('forward')
    .description('forward the journal to the log server of FORWARD, as a service does')
    .option('--test', 'send one marked entry and say how it went, step by step')
    .allowExcessArguments(false)
    .action(async (options: ForwardOptions) => {
      const { forwardCommand } = await import('./commands/forward.ts');
      done(await forwardCommand(reader, output, options));
    });
  addPrepare(root, async (options) => {
    // Large, and rarely used.
    const { prepareCommand } = await import('./commands/prepare.ts');
    done(await prepareCommand(reader, output, options));
  });
  root
    .command('version')
    .description('print the version')
    .allowExcessArguments(false)
    .action(() => output.stdout(`${version}\n`));
  return root;
}

function addPrepare(root: Command, action: (options: PrepareOptions) => Promise<void>): void {
  const ask = ['apply', 'only', 'skip', 'yes', 'json', 'wipe', 'purgeOldHome', 'cleanVar'];
  root
    .command('prepare')
    .description('say what an ordinary guest needs before it can be sealed, and do it')
    .option('--apply', 'do what is needed; without it nothing is changed')
    .option('--json', 'one JSON object')
    .addOption(stepsOption('--only <step...>', 'look at these steps only').conflicts('skip'))
    .addOption(stepsOption('--skip <step...>', 'leave these steps out'))
    .addOption(
      new Option('--home-device <device>', 'the disk that /home is moved to, all of it').conflicts(
        'homeUuid',
      ),
    )
    .option('--home-uuid <uuid>', 'the file system that /home is moved to, which is there already')
    .option('--wipe <device>', 'the disk of --home-device may lose what it holds')
    .option(
      '--purge-old-home',
      'remove the old content of /home from the disk of the system, once the copy is proven',
    )
    .option('--tmp-size <size>', 'how much memory /tmp may take; 25% where /etc/fstab has no /tmp')
    .addOption(
      new Option(
        '--tmp-mode <mode>',
        '1777: everybody may write to /tmp, as programs expect; 1700: only root may, which locks every other user out; 1777 where /etc/fstab has no /tmp',
      ).choices(['1777', '1700']),
    )
    .option('--clean-var', 'rotate logs and shorten journals before they count')
    .option('--yes', 'do not ask')
    .addOption(new Option('--undo', 'give back every file that was changed, as it was before').conflicts(ask))
    .allowExcessArguments(false)
    .action(action);
}

function stepsOption(flags: string, description: string): Option {
  return new Option(flags, description).choices(stepIds);
}

/** The commands that people use, with their options, for the manual and the completion; not to be run. */
export function commandLine(): { commands: readonly Command[] } {
  const nothing = () => undefined;
  const root = program(systemReader(), { stdout: nothing, stderr: nothing, terminal: false }, nothing);
  return {
    commands: root
      .createHelp()
      .visibleCommands(root)
      .filter((command) => command.name() !== 'help'),
  };
}

function prometheusOption(): Option {
  return new Option('--prometheus', "metrics for node_exporter's textfile collector").conflicts('json');
}

function colorOption(): Option {
  return new Option('--color <when>', 'when to use colours')
    .choices(['auto', 'always', 'never'])
    .default('auto');
}

const exitCodes = `
Exit codes: 0 sealed, every required check passed; 1 a required check failed; 2 usage or configuration;
3 could not tell; 4 not sealed, by intent (maintenance or off). Of prepare: 0 nothing left to do, 1 something is.`;
