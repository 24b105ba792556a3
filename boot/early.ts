import { onFile, unlessSystemError } from '../agent/lib/errors.ts';
import type { Context } from './command.ts';
import type { BootReader } from './reader.ts';

/** What the commands of the initramfs work with. */
export interface Early extends Context {
  /** Prints a warning on the console, and collects it for boot.env. */
  warn: (text: string) => void;
  warnings: readonly string[];
}

export function early({ native, reader }: Context): Early {
  const warnings: string[] = [];
  const warn = (text: string) => {
    warnings.push(text);
    native.print(2, `immutafs: warning: ${text}\n`);
  };
  return { native, reader, warn, warnings };
}

/** Returns the file of a program; undefined if the system does not have it. */
export function programFile(reader: BootReader, name: string): string | undefined {
  return ['/usr/sbin', '/sbin', '/usr/bin', '/bin']
    .map((directory) => `${directory}/${name}`)
    .find((file) => reader.stat(file) !== undefined);
}

/** Returns the seconds since the boot. */
export function uptime(reader: BootReader): number {
  return Number(/^\d+/.exec(reader.read('/proc/uptime'))?.[0] ?? Number.NaN);
}

/** The kernel log reaches the console and the journal. */
export function printToKernelLog({ native }: Pick<Context, 'native'>, text: string): void {
  const isPrinted = unlessSystemError(() => {
    onFile('/dev/kmsg', () => native.write('/dev/kmsg', `<2>${text}\n`));
    return true;
  });
  if (isPrinted !== true) native.print(2, `${text}\n`);
}
