import { SystemError, UsageError, errorMessage } from '../agent/lib/errors.ts';
import { generate } from './generator/generator.ts';
import { type Command, FAILED, USAGE, YES } from './guest/command.ts';
import { identityCommands } from './identity/commands.ts';
import { initramfsCommands } from './initramfs/commands.ts';
import { moveCommands } from './move/commands.ts';
import type { Native } from './native/native.ts';
import { bootReader } from './native/reader.ts';
import { Refused } from './native/refusal.ts';
import { persistCommands } from './persist/commands.ts';
import { rootCommands } from './root/commands.ts';
import { scratchCommands } from './scratch/commands.ts';
import { seedCommands } from './seed/commands.ts';

export { FAILED, NO, USAGE, YES } from './guest/command.ts';

/**
 * The commands of immutafs-boot. systemd-udevd ends a program after 30 s or more, so the limits of those that it runs are
 * shorter.
 */
export const commands: Readonly<Record<string, Command>> = {
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
  ...identityCommands,
  ...initramfsCommands,
  ...persistCommands,
  ...scratchCommands,
  ...seedCommands,
  ...moveCommands,
  ...rootCommands,
};

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
