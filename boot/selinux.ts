import { onFile, unlessSystemError } from '../agent/lib/errors.ts';
import type { Context } from './command.ts';

/**
 * Keeps the programs that this one runs in its SELinux domain. Children inherit the context in attr/exec and run their programs in
 * it (selinux(8)).
 */
export function keepSelinuxDomain({ native, reader }: Context): void {
  if (!hasSelinux({ reader })) return;
  unlessSystemError(() => {
    const [context = ''] = reader.read('/proc/self/attr/current').split(/[\0\n]/);
    onFile('/proc/self/attr/exec', () => native.write('/proc/self/attr/exec', context));
  });
}

/** Whether SELinux has a policy. */
export function hasSelinux({ reader }: Pick<Context, 'reader'>): boolean {
  return reader.stat('/sys/fs/selinux/enforce') !== undefined;
}
