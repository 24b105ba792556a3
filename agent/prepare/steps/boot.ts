import type { SystemReader } from '../../system/reader.ts';
import { deviceFile } from '../../facts/disks/tags.ts';
import { mayHaveOtherDevices } from '../../facts/disks/block.ts';
import { findNamedDevice } from '../../facts/disks/disks.ts';
import { unlessRefused, unlessRefusedLater } from '../../system/image.ts';
import { hasSelinux } from '../../facts/security/selinux.ts';
import { findConflictingOverlays } from '../../facts/boot/conflicting-overlays.ts';
import { cloudInitDisabled } from '../../facts/boot/provisioning.ts';
import { type Snapshot, readKernelArguments } from '../engine/snapshot.ts';
import { type Part, type Planned, stepFrom, when } from '../engine/part.ts';
import type { Action } from '../engine/step.ts';
import { planKernelArguments } from './kernel-arguments.ts';
import { findUnkeptPaths } from './persist.ts';
import { unlessAbsent } from '../../lib/errors.ts';

const readonlyRoot = '/etc/sysconfig/readonly-root';

/** Plans the step `boot`: neither the boot nor a crash dump requires a writable disk, and PERSIST can be kept. */
export async function planBoot(look: Snapshot): Promise<Planned> {
  const { reader } = look;
  const words = readKernelArguments(reader);
  const conflicting = findConflictingOverlays(reader, words);
  const inFile = conflicting.filter((source) => source.endsWith(readonlyRoot));
  const others = conflicting.filter((source) => !inFile.includes(source));
  const manual = [
    ...unsupported(look),
    ...relabelling(reader),
    ...others.map((source) => `${source} mounts another overlay over the root: remove it.`),
    ...crashDumps(look, words),
    ...ignition(words),
    ...((await unlessRefusedLater(() => findUnkeptPaths(look))) ?? []),
  ];
  const switchedOff = {
    actions: inFile.length === 0 ? [] : [switchOff(reader)],
    why: inFile.map(
      (source) => `${source} makes the root read-only in another way: it will be switched off.`,
    ),
  };
  const parts = [{ manual }, switchedOff, planCloudInit(look), planKernelArguments(look, words)];
  return stepFrom(parts, () => ['Nothing at boot needs a writable disk.', ...fileTypes(look)]);
}

/** Reports the file systems on system disks of which the host cannot seal every device. */
function unsupported({ mounts, systemDisks }: Snapshot): string[] {
  const found = mounts.all.filter((mount) => mayHaveOtherDevices(mount) && systemDisks.holds(mount));
  return [
    ...new Set(
      found.map(
        ({ target, type }) =>
          `${target} is ${type}, with which this guest never counts as sealed: move its files to XFS or ext4.`,
      ),
    ),
  ];
}

/**
 * Reports a pending SELinux relabelling. If SELinux is disabled, /.autorelabel has no effect, and RHEL creates it at
 * every boot (selinux-autorelabel-mark.service).
 */
function relabelling(reader: SystemReader): string[] {
  return when(
    reader.stat('/.autorelabel') !== undefined && usesSelinux(reader),
    '/.autorelabel requests new SELinux labels at the next boot, which cannot be set on a read-only disk: reboot once while the disk is writable, or remove the file.',
  );
}

/** Whether SELinux is enabled; in an image, whether its configuration enables it. */
function usesSelinux(reader: SystemReader): boolean {
  if (reader.image === undefined) return hasSelinux(reader);
  const config = reader.readIfPresent('/etc/selinux/config', 65536);
  return config !== undefined && !/^\s*SELINUX\s*=\s*disabled\s*$/m.test(config);
}

/** Returns the edit that disables rhel-readonly.service (initscripts). */
function switchOff(reader: SystemReader): Action {
  const before = reader.read(readonlyRoot, 65536);
  const after = before.replace(/^([ \t]*(?:READONLY|TEMPORARY_STATE)=)(["']?)yes\2/gm, '$1$2no$2');
  return { do: 'edit', file: readonlyRoot, before, after };
}

/**
 * Plans to disable cloud-init. A sealed boot masks its units, but a maintenance boot would accept configuration from a
 * disk that was written during a sealed boot. If SEED=host lets cloud-init use the host's seed, maintenance boots mask its
 * units, and the file that an earlier run has written is removed.
 */
function planCloudInit({ reader, config }: Snapshot): Partial<Part> {
  const isThere = (file: string) => reader.stat(file) !== undefined;
  const file = cloudInitDisabled;
  if (config.SEED === 'host') {
    if (!isThere(file)) return {};
    const why = `${file} disables cloud-init, which SEED=host needs: it will be removed.`;
    return { why: [why], actions: [{ do: 'remove', file }] };
  }
  if (!isThere('/usr/bin/cloud-init') || !isThere('/etc/cloud') || isThere(file)) return {};
  const why =
    'cloud-init runs commands, as root, from any disk with the label cidata or config-2: it will be disabled.';
  const after = 'Written by immutafs-agent prepare: a writable disk must not configure this guest.\n';
  return { why: [why], actions: [{ do: 'edit', file, before: null, after }] };
}

function ignition(words: readonly string[]): string[] {
  return when(
    words.some((word) => /^ignition\.firstboot(=1)?$/.test(word)),
    'ignition.firstboot on the kernel command line lets Ignition configure this guest again: finish the first boot, and remove the argument.',
  );
}

const service = '/etc/systemd/system/multi-user.target.wants/kdump.service';

/**
 * Reports kdump with a target on the system disk. The default target is /var/crash on the root file system
 * (kdump.conf(5)).
 */
function crashDumps(look: Snapshot, words: readonly string[]): string[] {
  const { reader } = look;
  if (reader.stat(service) === undefined || !words.some((word) => word.startsWith('crashkernel='))) return [];
  const text = reader.readIfPresent('/etc/kdump.conf') ?? '';
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  const isRemote = lines.some(([key = '']) => /^(nfs4?|net|ssh)$/.test(key));
  const device = lines.find(([key = '']) => /^(raw|ext[234]|xfs|btrfs|minix|virtiofs)$/.test(key))?.[1];
  return when(
    !isRemote && (device === undefined || isOnSystem(look, device)),
    `kdump writes crash dumps to ${device ?? '/var/crash'} on the disk that becomes read-only: set another target (nfs, ssh) in /etc/kdump.conf and restart kdump once, or run \`systemctl disable kdump\`.`,
  );
}

function isOnSystem({ reader, systemDisks }: Snapshot, source: string): boolean {
  const named = unlessRefused(() => findNamedDevice(reader, deviceFile(source)));
  // An image does not say it: the target is reported.
  return named === undefined || systemDisks.includes(named.disks);
}

/**
 * Reports an XFS without file types below /var. overlayfs requires file types in its upper layer
 * (Documentation/filesystems/overlayfs.rst, d_type). A lower layer without file types works on the kernel of RHEL 7.9
 * (3.10.0-1160), without a warning in the kernel log (measured).
 */
function fileTypes({ reader, mounts }: Snapshot): string[] {
  const mount = mounts.serving('/var');
  if (mount?.type !== 'xfs') return [];
  return when(
    unlessRefused(() => hasFileTypes(reader, `/dev/block/${mount.device}`)) === false,
    `The XFS at ${mount.target} was made with ftype=0, the default before RHEL 7.3. The overlay works with it (tested on kernel 3.10.0-1160), and the kernel logs nothing about it.`,
  );
}

/**
 * Whether the directories of an XFS record the type of each file (mkfs.xfs(8), ftype), from its superblock
 * (fs/xfs/libxfs/xfs_format.h: sb_features2 in version 4, sb_features_incompat in version 5).
 * @returns undefined if the device does not exist or has no XFS
 */
export function hasFileTypes(reader: SystemReader, device: string): boolean | undefined {
  const block = Buffer.from(unlessAbsent(() => reader.readAt(device, 0, 512)) ?? '', 'latin1');
  if (block.length < 512 || block.toString('latin1', 0, 4) !== 'XFSB') return undefined;
  const version = block.readUInt16BE(100) & 0xf;
  return version >= 5 ? (block.readUInt32BE(216) & 1) !== 0 : (block.readUInt32BE(200) & 0x200) !== 0;
}
