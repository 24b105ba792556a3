import { onFile, unlessSystemError } from '../../agent/lib/errors.ts';
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

/**
 * Applies the policy's file contexts, because the kernel does not use them when it labels a tmpfs. Not recursive, because the
 * files of the lower layer have their labels already. Does nothing without SELinux.
 */
export function restoreLabels({ native, reader }: Context, paths: readonly string[]): void {
  if (!hasSelinux({ reader })) return;
  const program = ['/usr/sbin/restorecon', '/sbin/restorecon'].find(
    (file) => reader.stat(file) !== undefined,
  );
  if (program === undefined) return;
  for (let index = 0; index < paths.length; index += atOnce)
    native.run(program, '-F', ...paths.slice(index, index + atOnce));
}

/** `native.run` takes 15 words at most (native.c). */
const atOnce = 12;

/** Gives a file the label of the model. Does nothing without SELinux. */
export function copyLabel({ native, reader }: Context, model: string, file: string): void {
  if (hasSelinux({ reader })) unlessSystemError(() => onFile(file, () => native.copyLabel(model, file)));
}

/**
 * Gives /run/immutafs the label of /run, because the policy has no file context for /run/immutafs and other services write below
 * it (tmpfiles.d(5)).
 */
export function labelRecords(context: Context): void {
  copyLabel(context, '/run', '/run/immutafs');
}
