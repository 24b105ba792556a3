/** The mounts of a session (`immutafs-agent session`), in the mount namespace of its service (units/run-session). */
import type { Mount } from '../../agent/facts/mounts/mount-lines.ts';
import { onFile } from '../../agent/lib/errors.ts';
import { isBelow } from '../../agent/lib/paths.ts';
import { readMounts } from '../guest/boot-state.ts';
import type { Context } from '../guest/command.ts';
import { bindFile, flagsOf } from '../guest/mount.ts';
import { isLink } from '../guest/units.ts';
import { loadOverlay, mountOverlay } from '../initramfs/layers.ts';
import { makeDirectories, reopen, using } from '../native/directories.ts';
import { isDirectory } from '../native/reader.ts';
import { copyTop } from '../persist/copy.ts';

/** What package managers write to. Logs are left out, so that the log server receives them. */
const ofPackages = [
  ...['/usr', '/opt'],
  ...['rpm', 'dnf', 'yum', 'dpkg', 'apt', 'alternatives', 'ucf'].map((name) => `/var/lib/${name}`),
  ...['apt', 'debconf', 'dnf', 'libdnf5', 'yum'].map((name) => `/var/cache/${name}`),
];

/**
 * libselinux loads a policy by writing to this file, also for semodule(8), which scriptlets run. The policy would stay in the
 * kernel after the end of the session.
 */
const policy = '/sys/fs/selinux/load';

/**
 * Mounts a tmpfs on the directory `layers` of the session, and overlays on /etc and, if packages may be installed, on the
 * directories that package managers write to.
 * @param folder the directory of the session
 * @param size of the tmpfs, as in tmpfs(5)
 * @param may whether packages may be installed, and an SELinux policy be loaded
 * @throws Refused, SystemError
 */
export function mountSession(
  context: Context,
  folder: string,
  size: string,
  may: { installs: boolean; loadsPolicy: boolean },
): void {
  const { native, reader } = context;
  const layers = `${folder}/layers`;
  loadOverlay(context);
  // Neither nosuid nor noexec: on the first kernels that have overlayfs, a file has the options of the mount of its layer.
  using(native, reopen(native, layers), (directory) =>
    onFile(`the mount of the tmpfs on ${layers} failed`, () =>
      native.mountAt(directory, 'immutafs', 'tmpfs', flagsOf('nodev'), `size=${size},mode=0700`),
    ),
  );
  const targets = ['/etc', ...(may.installs ? ofPackages : [])].filter(
    (path) => isDirectory(reader.status(path)) && !isLink(reader.stat(path)),
  );
  const kept = keepMounts(context, targets, layers);
  for (const target of targets) cover(context, target, target, `${layers}${target}`);
  for (const { mount, at } of kept) {
    if (!isDirectory(reader.status(at))) bindFile(context, at, mount.target, flagsOf(mount.options.join()));
    // A read-only directory gets an overlay of its own.
    else if (mount.options.includes('ro') || mount.superOptions.includes('ro'))
      cover(context, mount.target, at, `${at}-layers`);
    else bindDirectory(context, at, mount.target, mount);
  }
  if (!may.loadsPolicy && reader.stat(policy) !== undefined)
    bindFile(context, policy, policy, flagsOf('ro,nosuid,noexec'));
}

interface Kept {
  mount: Mount;
  /** Where it is mounted, too. */
  at: string;
}

/** Binds the mounts below the targets, which the overlays will hide. @returns them in the order in which they were mounted */
function keepMounts(context: Context, targets: readonly string[], layers: string): Kept[] {
  const { native, reader } = context;
  const inside = readMounts(reader).filter(({ target }) =>
    targets.some((path) => path !== target && isBelow(target, path)),
  );
  // Of several mounts on a path, the last one is visible.
  const visible = inside.filter(
    ({ target }, index) => !inside.slice(index + 1).some((each) => each.target === target),
  );
  return visible.map((mount, index) => {
    const at = `${layers}/kept${index}`;
    if (isDirectory(reader.status(mount.target))) {
      makeDirectories(native, at);
      bindDirectory(context, mount.target, at, mount);
    } else {
      onFile(at, () => native.write(at, ''));
      bindFile(context, mount.target, at, flagsOf(mount.options.join()));
    }
    return { mount, at };
  });
}

function bindDirectory({ native }: Context, from: string, to: string, { options }: Mount): void {
  using(native, reopen(native, from), (source) =>
    using(native, reopen(native, to), (target) =>
      onFile(`the bind mount of ${from} failed`, () => native.bind(source, target, flagsOf(options.join()))),
    ),
  );
}

/** Mounts an overlay. Its root directory has the owner, mode, SELinux label and access control lists of the lower layer. */
function cover(context: Context, target: string, lower: string, own: string): void {
  const { native } = context;
  const [upper, work] = [`${own}/upper`, `${own}/work`];
  makeDirectories(native, upper);
  using(native, reopen(native, lower), (model) =>
    using(native, reopen(native, upper), (directory) =>
      onFile(upper, () => copyTop(context, directory, model)),
    ),
  );
  mountOverlay(context, target, { lower, upper, work }, 'nodev');
}
