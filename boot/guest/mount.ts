import { onFile } from '../../agent/lib/errors.ts';
import { baseName, parentOf } from '../../agent/lib/paths.ts';
import { reopen, using } from '../native/directories.ts';
import { refusalOf } from '../native/refusal.ts';
import type { Context } from './command.ts';
import { hasSelinux } from './selinux.ts';
import { readUdevData } from './udev.ts';

/** Flags of mount(2), by the options that set and clear them (mount(8)). */
const set: ReadonlyMap<string, number> = new Map([
  ['ro', 1],
  ['nosuid', 2],
  ['nodev', 4],
  ['noexec', 8],
  ['sync', 16],
  ['mand', 64],
  ['dirsync', 128],
  ['noatime', 1024],
  ['nodiratime', 2048],
  ['relatime', 1 << 21],
  ['iversion', 1 << 23],
  ['strictatime', 1 << 24],
  ['lazytime', 1 << 25],
  ['user', 2 | 4 | 8],
  ['users', 2 | 4 | 8],
  ['owner', 2 | 4],
  ['group', 2 | 4],
]);
const cleared: ReadonlyMap<string, number> = new Map([
  ['rw', 1],
  ['suid', 2],
  ['dev', 4],
  ['exec', 8],
  ['async', 16],
  ['nomand', 64],
  ['atime', 1024],
  ['diratime', 2048],
  ['norelatime', 1 << 21],
  ['noiversion', 1 << 23],
  ['nostrictatime', 1 << 24],
  ['nolazytime', 1 << 25],
]);

/** Options for programs, which the kernel does not know. */
const forPrograms =
  /^(?:defaults|auto|noauto|nofail|_netdev|nouser|nousers|noowner|nogroup|comment=.*|[xX]-.*)$/s;

/** Options that the kernel accepts only when it has an SELinux policy. */
const contexts = /^(?:context|fscontext|defcontext|rootcontext)=/;

/**
 * Splits the options of fstab into the flags of mount(2) and the options of the file system. A later option overrides an earlier
 * one. A comma in double quotes separates nothing.
 * @param hasPolicy whether SELinux has a policy
 */
export function parseOptions(options: string, hasPolicy: boolean): { flags: number; data: string } {
  let flags = 0;
  const data: string[] = [];
  for (const option of options.match(/(?:[^,"]|"[^"]*(?:"|$))+/g) ?? []) {
    const [on, off] = [set.get(option), cleared.get(option)];
    if (on !== undefined) flags |= on;
    else if (off !== undefined) flags &= ~off;
    else if (!forPrograms.test(option) && (hasPolicy || !contexts.test(option))) data.push(option);
  }
  return { flags, data: data.join(',') };
}

/** Returns the flags of mount(2) of options. */
export function flagsOf(options: string): number {
  return parseOptions(options, true).flags;
}

export interface FileSystem {
  /** The device file, with the name of the kernel. */
  file: string;
  /** As in fstab; if it names none, what udev found. */
  type: string;
  /** As in fstab, without escapes. */
  options: string;
}

/**
 * Binds a file to another one, without following a symbolic link in either path.
 * @param flags of mount(2)
 * @throws Refused, SystemError
 */
export function bindFile({ native }: Pick<Context, 'native'>, from: string, to: string, flags: number): void {
  using(native, reopen(native, parentOf(from)), (directory) =>
    using(native, reopen(native, parentOf(to)), (target) =>
      onFile(`the bind mount on ${to} failed`, () =>
        native.bindFile(directory, baseName(from), target, baseName(to), flags),
      ),
    ),
  );
}

/** The result of a mount. If both attempts failed, the reason of the first one. */
export type Mounted = { as: 'usual' | 'norecovery' } | { as: 'failed'; reason: string };

/**
 * Mounts a file system read-only on a directory, first as systemd would. If that fails, tries again without replaying the log
 * (xfs(5), ext4(5): norecovery): if a guest was killed while its disk was writable and the disk was then sealed, the log cannot
 * be replayed.
 * @throws Refused if the directory cannot be opened without a symbolic link
 */
export function mountOn({ native, reader }: Context, fileSystem: FileSystem, target: string): Mounted {
  const { file, options } = fileSystem;
  const isNamed = fileSystem.type !== '' && fileSystem.type !== 'auto' && !fileSystem.type.includes(',');
  const type = isNamed ? fileSystem.type : readUdevData(reader, baseName(file)).type;
  if (type === '') return { as: 'failed', reason: `the type of the file system on ${file} is unknown` };
  const { flags, data } = parseOptions(`${options},ro`, hasSelinux({ reader }));
  const mount = (more: string) => {
    const all = [data, more].filter((each) => each !== '').join(',');
    return using(native, reopen(native, target), (directory) =>
      refusalOf(() => native.mountAt(directory, file, type, flags, all)),
    );
  };
  const failed = mount('');
  if (failed === undefined) return { as: 'usual' };
  if (mount('norecovery') === undefined) return { as: 'norecovery' };
  return { as: 'failed', reason: `the mount of ${file} on ${target} failed: ${failed.reason}; see dmesg` };
}

/** What to do about a file system that is mounted without its log. */
export const afterUncleanSeal = 'Open the guest, shut it down cleanly, and seal it again';

/**
 * Does the same. If it fails, systemd mounts the file system. `immutafs-agent status` reports a mount without the log.
 */
export function mountReadOnly(context: Context, fileSystem: FileSystem, target: string): void {
  const print = (text: string) => context.native.print(2, `immutafs: warning: ${text}\n`);
  let mounted: Mounted | undefined;
  const refusal = refusalOf(() => {
    mounted = mountOn(context, fileSystem, target);
  });
  if (refusal !== undefined) print(`${target} is not mounted: ${refusal.reason}`);
  if (mounted?.as === 'failed') print(mounted.reason);
  if (mounted?.as === 'norecovery') {
    const shown = target.replace(/^\/sysroot(?=\/|$)/, '') || '/';
    print(
      `${shown} is mounted with norecovery: it was not unmounted cleanly before it was sealed. ${afterUncleanSeal}`,
    );
  }
}
