/** SELinux labels of what the boot mounts. */
import { onFile, unlessSystemError } from '../agent/lib/errors.ts';
import type { Context } from './command.ts';
import { hasSelinux } from './selinux.ts';

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
