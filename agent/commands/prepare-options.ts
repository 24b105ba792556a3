import { type Command, Option } from 'commander';
import { stepIds } from '../prepare/engine/step.ts';
import type { PrepareOptions } from './prepare.ts';
import type { Context } from './command.ts';

/** Defines the command `prepare`. */
export function addPrepare(root: Command, { reader, loadWriter, output, exit }: Context): void {
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
    .action(async (options: PrepareOptions) => {
      const { prepareCommand } = await import('./prepare.ts');
      exit(await prepareCommand(reader, loadWriter, output, options));
    });
}

/** Returns an option that takes steps as several words, or separated by commas. */
function stepsOption(flags: string, description: string): Option {
  const option = new Option(flags, description).choices(stepIds);
  const { parseArg } = option;
  return option.argParser((value, previous: unknown) =>
    value.split(',').reduce<unknown>((before, step) => parseArg?.(step, before), previous),
  );
}
