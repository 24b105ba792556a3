import path from 'node:path';
import type { FstabLine } from '../facts/mounts/fstab.ts';
import { type Mount, type MountTable, isBelow } from '../facts/mounts/mountinfo.ts';

/** Whether a mount has the type of a line of fstab; of a bind mount, whether it shows the file system of the source. */
export function isOfLine(mounts: MountTable, { device, type }: Mount, line: FstabLine): boolean {
  if (isBind(line)) return sourceMount(mounts, line)?.device === device;
  return isType(type, line.type);
}

/** File systems whose content is in memory or that any process can provide. */
export const volatile = /^(?:tmpfs|ramfs|overlay|fuse.*)$/;

/** Whether a mount in memory contains the fstab, which therefore cannot explain it. */
export function hidesFstab({ target, type }: Mount): boolean {
  return isBelow('/etc/fstab', target) && volatile.test(type);
}

/**
 * Whether a mounted file system can be of the type in fstab or a unit. The names may differ, for example nfs4 for nfs and
 * fuse.glusterfs for glusterfs.
 */
export function isType(mounted: string, configured: string): boolean {
  if (mounted === configured || mounted.endsWith(`.${configured}`)) return true;
  if (/^(?:fuse|ntfs)/.test(configured)) return mounted.startsWith('fuse') || mounted === 'ntfs3';
  return !volatile.test(mounted) && !volatile.test(configured);
}

/**
 * Whether a mount shows the same files as the mount below it: a bind mount of a directory over itself, which `prepare`, the
 * boot and container engines make to give a directory mount options of its own.
 */
export function isBoundOnItself({ device, root, target }: Mount, parent: Mount | undefined): boolean {
  if (parent === undefined || target === '/' || device !== parent.device) return false;
  return root === path.join(parent.root, path.relative(parent.target, target));
}

/** The files in /run that the boot of this package and systemd (machine-id(5)) mount over files of a read-only /etc. */
const fromRun = new Map([
  ['/etc/lvm/lvmlocal.conf', '/immutafs/lvmlocal.conf'],
  ['/etc/machine-id', '/machine-id'],
]);

export function isFromRun(mounts: MountTable, { device, root, target }: Mount): boolean {
  const run = mounts.serving('/run');
  const file = fromRun.get(target);
  return (
    run !== undefined && file !== undefined && device === run.device && root === path.join(run.root, file)
  );
}

export function isBind({ options }: Pick<FstabLine, 'options'>): boolean {
  return options.includes('bind') || options.includes('rbind');
}

/** Returns the mount that serves the source of a bind mount in fstab. */
export function sourceMount(mounts: MountTable, { source }: Pick<FstabLine, 'source'>): Mount | undefined {
  return mounts.serving(path.resolve('/', source));
}
