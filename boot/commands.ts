import { SystemError, UsageError, errorMessage, onFile } from '../agent/lib/errors.ts';
import { differingTargetOf } from './device-mapper.ts';
import { type Disks, disksOfDevice, hasReadOnlyPath, wordOf } from './disks.ts';
import { generate } from './generator/generator.ts';
import { mayJoin } from './members.ts';
import { type Command, FAILED, NO, USAGE, YES } from './command.ts';
import { lateCommands } from './late-commands.ts';
import type { Native } from './native.ts';
import { rootCommands } from './root-commands.ts';
import { persistCommands } from './persist-commands.ts';
import { Refused } from './persist-guest.ts';
import { bootReader } from './reader.ts';
import { scratchCommands } from './scratch-commands.ts';
import { seedCommands } from './seed-commands.ts';
import { varCommands } from './var-commands.ts';

export { FAILED, NO, USAGE, YES } from './command.ts';

/** The commands of immutafs-boot. systemd-udevd ends a program after 30 s or more, so the limits of its commands are shorter. */
export const commands: Readonly<Record<string, Command>> = {
  udev: {
    args: 'NAME',
    does: 'Prints the properties IMMUTAFS_SEALED and IMMUTAFS_READ_ONLY of a block device, each 0 or 1, for udev. Sets a device-mapper device read-only if all disks below it are.',
    exit: '0: printed',
    seconds: 20,
    run: ({ native, reader }, [name = '']) => {
      const directory = `/sys/class/block/${name}`;
      const { state } = disksOfDevice(reader, directory);
      // device-mapper takes its flag from the table and not from the disks (drivers/md/dm-table.c), and XFS would write its
      // log even for a read-only mount.
      if (name.startsWith('dm-') && (state !== 'writable' || hasReadOnlyPath(reader, directory)))
        onFile(`/dev/${name}`, () => native.setReadOnly(`/dev/${name}`));
      return {
        code: YES,
        output: `IMMUTAFS_SEALED=${state === 'sealed' ? 1 : 0}\nIMMUTAFS_READ_ONLY=${state === 'writable' ? 0 : 1}\n`,
      };
    },
  },
  'may-join': {
    args: 'NAME UUID',
    does: 'Tells whether a device may be a member of its md array: not if it is on a writable disk, and all members are on sealed disks. UUID is ID_FS_UUID_ENC of udev.',
    exit: '0: it may; 1: it may not',
    seconds: 20,
    run: ({ reader }, [name = '', uuid = '']) => ({
      code: mayJoin(reader, name, uuid) ? YES : NO,
      output: '',
    }),
  },
  disks: {
    args: 'DIRECTORY',
    does: 'Prints, for the block device with a directory of sysfs, in a line each: its kernel name; the names of the device and of all devices below it; the disks below it, each as NAME:READ-ONLY:EVIDENCE; and whether it is sealed, read-only or writable.',
    exit: '0: printed',
    seconds: 20,
    run: ({ reader }, [directory = '']) => ({
      code: YES,
      output: format(disksOfDevice(reader, directory)),
    }),
  },
  generator: {
    args: 'NORMAL [EARLY [LATE]]…',
    does: 'Writes the units of this boot to the directories NORMAL and EARLY (systemd.generator(7)).',
    exit: '0: written',
    seconds: 25,
    run: ({ native, reader }, [normal = '', early = normal]) => {
      if (normal === '') throw new UsageError('generator needs a directory');
      generate(reader).write(native, normal, early);
      return { code: YES, output: '' };
    },
  },
  tables: {
    args: '[MAJOR:MINOR…]',
    does: 'Prints a line for each device-mapper device, or each given device: its number and, if its content may differ from that of the devices below it, the type of the first target for which this is so.',
    exit: '0: there is no such device; 1: there is one',
    seconds: 20,
    run: ({ native }, devices) => {
      const all = devices.length > 0 ? devices : onFile('/dev/mapper/control', native.mapped);
      const targets = all.map((device) => [device, differingTargetOf(native, device)] as const);
      return {
        code: targets.every(([, target]) => target === '') ? YES : NO,
        output: targets.map(([device, target]) => `${device}${target === '' ? '' : ' '}${target}\n`).join(''),
      };
    },
  },
  ...persistCommands,
  ...rootCommands,
  ...scratchCommands,
  ...varCommands,
  ...seedCommands,
  ...lateCommands,
};

function format({ name, stack, disks, state }: Disks): string {
  return `${name}\n${stack.join(' ')}\n${disks.map(wordOf).join(' ')}\n${state}\n`;
}

/**
 * Runs the command in the arguments of the program. Prints its output only if it succeeds, so that a caller never reads
 * half of it.
 * @returns the exit code
 */
export function run(native: Native): number {
  const [name = '', ...args] = native.arguments;
  try {
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (command === undefined) throw new UsageError(`unknown command '${name}'`);
    const expected = command.args.split(' ').filter((name) => name !== '');
    if (!command.args.includes('…') && args.length !== expected.length)
      throw new UsageError(`${name} needs ${command.args}`);
    native.limit(command.seconds);
    const { code, output } = command.run({ native, reader: bootReader(native) }, args);
    native.print(1, output);
    return code;
  } catch (error) {
    native.print(2, `immutafs-boot: ${messageOf(error)}\n`);
    return error instanceof UsageError ? USAGE : FAILED;
  }
}

/** The message of an error. Every text here has one character per byte, so that an error of the agent's modules has, too. */
function messageOf(error: unknown): string {
  const message = errorMessage(error);
  return [SystemError, UsageError, Refused].some((kind) => error instanceof kind)
    ? message
    : `internal error: ${message}`;
}
