import { SystemError, onFile } from '../agent/lib/errors.ts';
import type { Context } from './command.ts';
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

/**
 * Mounts a file system read-only, first as systemd would. If that fails, tries again without replaying the log (xfs(5), ext4(5):
 * norecovery): if a guest was killed while its disk was writable and the disk was then sealed, the log cannot be replayed.
 * `immutafs-agent status` reports such a mount. If this fails, too, or if the type is unknown, systemd mounts the file system.
 * @param options as in fstab, without escapes
 * @param type as in fstab; by default, what udev found
 * @param name the kernel name of the device
 */
export function mountReadOnly(
  context: Context,
  { options, type, name, target }: { options: string; type: string; name: string; target: string },
): void {
  const { native, reader } = context;
  const found = type === '' || type === 'auto' || type.includes(',') ? readUdevData(reader, name).type : type;
  if (found === '') return;
  const { flags, data } = parseOptions(`${options},ro`, reader.stat('/sys/fs/selinux/enforce') !== undefined);
  const mount = (more: string) =>
    attempt(context, target, () =>
      native.mount(
        `/dev/${name}`,
        target,
        found,
        flags,
        [data, more].filter((each) => each !== '').join(','),
      ),
    );
  if (mount('') || !mount('norecovery')) return;
  const shown = target.replace(/^\/sysroot(?=\/|$)/, '') || '/';
  native.print(
    2,
    `immutafs: warning: ${shown} is mounted with norecovery: it was not unmounted cleanly before it was sealed\n`,
  );
}

/** Returns whether a mount succeeds, and prints the reason if it does not. */
function attempt({ native }: Context, target: string, mount: () => void): boolean {
  try {
    onFile(target, mount);
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    native.print(2, `immutafs-boot: cannot mount ${error.message}\n`);
    return false;
  }
}
