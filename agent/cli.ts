import { Command, CommanderError, Option } from 'commander';
import { addChanges } from './commands/changes-options.ts';
import type { CheckOptions } from './commands/check.ts';
import type { ForwardOptions } from './commands/forward.ts';
import type { IdentityOptions } from './commands/identity.ts';
import type { Output } from './commands/output.ts';
import type { LoadWriter, PrepareOptions } from './commands/prepare.ts';
import type { SessionOptions } from './commands/session.ts';
import { type StatusOptions, statusCommand } from './commands/status.ts';
import { UsageError, errorMessage } from './lib/errors.ts';
import { clean } from './lib/format.ts';
import { nagiosCodes, nagiosError } from './report/nagios.ts';
import { type SystemReader, systemReader } from './system/reader.ts';
import { stepIds } from './prepare/engine/step.ts';
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
  const done = (result: number) => {
    code = result;
  };
  try {
    if (argv.length === 0) throw new UsageError('no command given; see immutafs-agent help');
    await program(reader, loadWriter, output, done).parseAsync(argv, { from: 'user' });
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
 * Defines the commands. The modules of rarely used commands are imported only when the command runs, because loading
 * all modules takes longer than running `status`.
 */
function program(
  reader: SystemReader,
  loadWriter: LoadWriter,
  output: Output,
  done: (code: number) => void,
): Command {
  const root = new Command('immutafs-agent')
    .description('Keeps a guest working on a read-only system disk, and verifies that it is sealed.')
    .version(version)
    .helpCommand('help [command]', 'show the help of a command')
    .exitOverride()
    .configureOutput({ writeOut: output.stdout, writeErr: () => undefined })
    .addHelpText('after', exitCodes);
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
    .action(async (options: StatusOptions) => done(await statusCommand(reader, output, options)));
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
        const { readyCommand } = await import('./commands/prepare.ts');
        done(await readyCommand(reader, output, options.image));
      } else {
        if (options.image === true) throw new UsageError('--image needs --ready-to-seal');
        const { checkCommand } = await import('./commands/check.ts');
        done(await checkCommand(reader, await loadWriter(), output, options));
      }
    });
  addChanges(root, async (paths, options) => {
    const { changesCommand } = await import('./commands/changes.ts');
    done(await changesCommand(reader, loadWriter, output, paths, options));
  });
  root
    .command('probe <path> <kind...>', { hidden: true })
    .description('try operations at a path; internal')
    .action(async (target: string, kinds: string[]) => {
      const { probeCommand } = await import('./commands/probe.ts');
      probeCommand(output, target, kinds);
    });
  root
    .command('try-writes <path...>', { hidden: true })
    .description('try a write at each path; internal')
    .action(async (targets: string[]) => {
      const { tryWritesCommand } = await import('./commands/probe.ts');
      tryWritesCommand(output, targets);
    });
  root
    .command('record-rehearsal', { hidden: true })
    .description('record a rehearsal; internal')
    .action(async () => {
      const { recordCommand } = await import('./commands/rehearsal.ts');
      done(await recordCommand(reader, await loadWriter()));
    });
  root
    .command('move-at-boot', { hidden: true })
    .description('carry out what prepare has recorded for this boot; internal')
    .action(async () => {
      const { moveCommand } = await import('./commands/move.ts');
      done(await moveCommand(reader, await loadWriter(), output));
    });
  root
    .command('forward')
    .description(
      'forward the journal to the log server that FORWARD names (immutafs-forward.service runs this)',
    )
    .option('--test', 'send one marked entry and show the result of each step')
    .allowExcessArguments(false)
    .action(async (options: ForwardOptions) => {
      const { forwardCommand } = await import('./commands/forward.ts');
      done(await forwardCommand(reader, loadWriter, output, options));
    });
  root
    .command('identity')
    .description(
      'request a certificate from the host with IDENTITY=host, and write it to /run/immutafs/identity (immutafs-identity.service runs this)',
    )
    .option(
      '--nonce <nonce>',
      'print a statement of the host about this guest for the nonce of a verifier, 8 to 64 bytes in base64url, and write nothing',
    )
    .allowExcessArguments(false)
    .action(async (options: IdentityOptions) => {
      const { identityCommand } = await import('./commands/identity.ts');
      done(await identityCommand(reader, loadWriter, output, options));
    });
  addPrepare(root, async (options) => {
    const { prepareCommand } = await import('./commands/prepare.ts');
    done(await prepareCommand(reader, loadWriter, output, options));
  });
  root
    .command('session [command...]')
    .description(
      'run a shell, or a command, with tools for this boot only: in a mount namespace of its own, whose changes of /etc no other process sees, and which are discarded at its end',
    )
    .option(
      '--allow-install',
      'also make /usr, /opt and the data of the package managers writable in the session, so that package managers can install programs',
    )
    .addOption(new Option('--limit <duration>', 'the time after which the session is ended').default('4h'))
    .addOption(new Option('--size <size>', 'memory for what is written in the session').default('25%'))
    .action(async (command: string[], options: SessionOptions) => {
      const { sessionCommand } = await import('./commands/session.ts');
      done(await sessionCommand(reader, await loadWriter(), output, command, options));
    });
  root
    .command('end-session <number>', { hidden: true })
    .description('end a session; internal')
    .action(async (number: string) => {
      const { endSession } = await import('./commands/session.ts');
      await endSession(reader, await loadWriter(), Number(number));
    });
  root
    .command('version')
    .description('print the version')
    .option('--json', 'print one JSON object, which also lists the software that the package contains')
    .allowExcessArguments(false)
    .action(async (options: { json?: boolean }) => {
      const { versionCommand } = await import('./commands/version.ts');
      done(versionCommand(output, options));
    });
  return root;
}

function addPrepare(root: Command, action: (options: PrepareOptions) => Promise<void>): void {
  const ask = [
    ...['apply', 'only', 'skip', 'yes', 'json', 'wipe', 'purgeOldHome', 'cleanVar', 'since', 'accept'],
    ...['strictMounts', 'closeBypasses', 'moveState', 'purgeOldState'],
    'scratchDevice',
  ];
  root
    .command('prepare')
    .description('show which steps an ordinary guest needs before it can be sealed, and run them')
    .option('--apply', 'run the needed steps; without this option nothing is changed')
    .option('--json', 'print one JSON object')
    .addOption(stepsOption('--only <step...>', 'consider only these steps').conflicts('skip'))
    .addOption(stepsOption('--skip <step...>', 'leave out these steps'))
    .addOption(
      new Option('--home-device <device>', 'the disk to move /home to; all of it is used').conflicts(
        'homeUuid',
      ),
    )
    .option('--home-uuid <uuid>', 'the existing file system to move /home to')
    .option(
      '--wipe <device>',
      'allow the content of the disk of --home-device or --scratch-device to be destroyed',
    )
    .option(
      '--purge-old-home',
      'remove the old content of /home from the system disk, in the next maintenance boot',
    )
    .option(
      '--move-state <directory...>',
      'move the content of these directories to PERSIST_STORE, and add them to PERSIST, in the next maintenance boot, before any service starts (step state)',
    )
    .option(
      '--purge-old-state',
      'remove the old content of directories that --move-state has moved from the system disk, in the next maintenance boot (step state)',
    )
    .option(
      '--scratch-device <device>',
      'mark this disk or partition for SCRATCH, so that every sealed boot may format it, and set SCRATCH_DEVICE (step scratch)',
    )
    .option('--tmp-size <size>', 'memory that /tmp may use; default: 25% if /etc/fstab has no /tmp')
    .addOption(
      new Option(
        '--tmp-mode <mode>',
        '1777: every user may write to /tmp, as programs expect; 1700: only root may, which locks out every other user; default: 1777 if /etc/fstab has no /tmp',
      ).choices(['1777', '1700']),
    )
    .option('--clean-var', 'rotate logs and shorten journals, in the next maintenance boot')
    .option(
      '--since <days>',
      'also consider changes of the disk made up to this many days ago (step writes); default: since the last boot',
    )
    .option(
      '--accept <what...>',
      'record in /etc/immutafs/accepted-writes what is not reported any more: a path with everything below it, which a sealed boot may reset (step state) or in which changes are accepted (step writes), or `changes`: changes of unknown origin so far',
    )
    .option('--strict-mounts', 'write the strictest MOUNT_OPTIONS that breaks no running program (step exec)')
    .option(
      '--close-bypasses',
      'write /etc/sysctl.d/60-immutafs.conf, which closes the bypasses of noexec that no running program needs (step exec)',
    )
    .option(
      '--image',
      'in the chroot of an image (kickstart, virt-customize): examine and change only the files of the image; what only a running guest has is examined at its first boot',
    )
    .option(
      '--image-name <name>',
      'the name that /etc/immutafs/image gives to the image (with --image and --apply)',
    )
    .option('--image-version <version>', 'the version that /etc/immutafs/image gives to the image')
    .option('--yes', 'do not ask for confirmation')
    .option(
      '--reboot',
      'reboot afterwards, if something is recorded for the next boot; that boot moves data and reboots again',
    )
    .addOption(
      new Option(
        '--undo',
        'restore every changed file to its previous content; if data was moved, the next maintenance boot moves it back first',
      ).conflicts(ask),
    )
    .addOption(
      new Option(
        '--rehearse',
        'make the next boot a rehearsal: the guest itself seals it, for one boot and a limited time, and records what fails',
      ).conflicts(['only', 'skip', 'json', 'since', 'accept', 'undo']),
    )
    .option('--limit <duration>', 'time from the start of the rehearsal to its end; default: 30m')
    .option(
      '--discard-state',
      'begin a rehearsal although it loses state that is neither kept nor accepted (step state)',
    )
    .addOption(
      new Option(
        '--end-rehearsal',
        'withdraw a requested rehearsal; in a rehearsal, reboot into maintenance mode',
      ).conflicts([...ask, 'undo', 'rehearse', 'reboot', 'limit', 'discardState']),
    )
    .allowExcessArguments(false)
    .action(action);
}

/** Returns an option that takes steps as several words, or separated by commas. */
function stepsOption(flags: string, description: string): Option {
  const option = new Option(flags, description).choices(stepIds);
  const { parseArg } = option;
  return option.argParser((value, previous: unknown) =>
    value.split(',').reduce<unknown>((before, step) => parseArg?.(step, before), previous),
  );
}

/** Returns the public commands with their options, for the manual page and the completion. They must not be run. */
export function commandLine(): { commands: readonly Command[] } {
  const nothing = () => undefined;
  const noWriter = () => Promise.reject(new Error('no command is run'));
  const root = program(
    systemReader(),
    noWriter,
    { stdout: nothing, stderr: nothing, terminal: false },
    nothing,
  );
  return {
    commands: root
      .createHelp()
      .visibleCommands(root)
      .filter((command) => command.name() !== 'help'),
  };
}

function jsonOption(): Option {
  return new Option('--json', 'print one JSON object (report.schema.json)');
}

function prometheusOption(): Option {
  return new Option('--prometheus', "print metrics for node_exporter's textfile collector").conflicts('json');
}

function colorOption(): Option {
  return new Option('--color <when>', 'when to use colours')
    .choices(['auto', 'always', 'never'])
    .default('auto');
}

const exitCodes = `
Exit codes: 0 sealed, every required check passed; 1 a required check failed;
2 usage or configuration error; 3 a required check could not be evaluated;
4 not sealed by intent (maintenance, rehearsal or off). Exit codes of prepare
and check --ready-to-seal: 0 no step remains; 1 steps remain or are blocked.
Exit codes of changes: 0 everything was compared; 3 not everything was
compared; 4 there is no layer by intent. The exit code of session is that of
its command. Exit codes of status --nagios:
0 OK; 1 WARNING; 2 CRITICAL; 3 UNKNOWN.`;
