import type { SystemReader } from '../../system/reader.ts';
import { deviceFile } from '../../facts/disks/device-file.ts';
import { findNamedDevice } from '../../facts/disks/named-device.ts';
import { splitKernelArguments } from '../../facts/boot/kernel-arguments.ts';
import { hasSelinux } from '../../facts/security/labels.ts';
import { findConflictingOverlays } from '../../facts/boot/conflicting-overlays.ts';
import { cloudInitDisabled } from '../../facts/boot/provisioning.ts';
import { type Look, textIfThere } from '../engine/snapshot.ts';
import type { Action, Step } from '../engine/step.ts';
import { planKernelArguments } from './kernel-arguments.ts';
import { hasFileTypes } from './xfs.ts';

const readonlyRoot = '/etc/sysconfig/readonly-root';

/** Nothing at boot, or in a crash, counts on a disk that can be written to. */
export function planBoot(look: Look): Step {
  const { reader } = look;
  const words = splitKernelArguments(reader.read('/proc/cmdline', 65536));
  const rivals = findConflictingOverlays(reader, words);
  const inFile = rivals.filter((rival) => rival.endsWith(readonlyRoot));
  const byHand = [
    ...relabelling(reader),
    ...rivals
      .filter((rival) => !inFile.includes(rival))
      .map((rival) => `${rival} puts other layers over the root: take it out.`),
    ...crashDumps(look, words),
    ...ignition(words),
  ];
  const kernel = planKernelArguments(look, words);
  byHand.push(...kernel.byHand);
  const cloudInit = disableCloudInit(reader);
  const actions = [
    ...(inFile.length === 0 ? [] : [switchOff(reader)]),
    ...cloudInit.actions,
    ...kernel.actions,
  ];
  const why = [
    ...inFile.map((rival) => `${rival} does the same job in another way: it is switched off.`),
    ...cloudInit.why,
    ...kernel.why,
  ];
  if (actions.length > 0) return { id: 'boot', state: 'needed', why: [...why, ...byHand], actions };
  if (byHand.length > 0) return { id: 'boot', state: 'by hand', why: byHand, actions };
  const done = ['Nothing at boot counts on a disk that can be written to.', ...fileTypes(look)];
  return { id: 'boot', state: 'done', why: done, actions };
}

/** With SELinux off nothing acts on the file, and RHEL makes it at every boot (selinux-autorelabel-mark.service). */
function relabelling(reader: SystemReader): string[] {
  if (reader.stat('/.autorelabel') === undefined || !hasSelinux(reader)) return [];
  return [
    '/.autorelabel asks for new SELinux labels at the next boot, which cannot be set on a read-only disk: reboot once while the disk is writable, or remove it.',
  ];
}

/** rhel-readonly.service (initscripts). */
function switchOff(reader: SystemReader): Action {
  const before = reader.read(readonlyRoot, 65536);
  const after = before.replace(/^([ \t]*(?:READONLY|TEMPORARY_STATE)=)(["']?)yes\2/gm, '$1$2no$2');
  return { do: 'edit', file: readonlyRoot, before, after };
}

/** A sealed boot masks its units; one in maintenance would obey a disk that was written to while it was sealed. */
function disableCloudInit(reader: SystemReader): { why: string[]; actions: Action[] } {
  const isInstalled =
    reader.stat('/usr/bin/cloud-init') !== undefined && reader.stat('/etc/cloud') !== undefined;
  if (!isInstalled || reader.stat(cloudInitDisabled) !== undefined) return { why: [], actions: [] };
  const why = 'cloud-init runs, as root, what a disk with the label cidata or config-2 says: it is disabled.';
  const after = 'Written by immutafs-agent prepare: a writable disk must not configure this guest.\n';
  return { why: [why], actions: [{ do: 'edit', file: cloudInitDisabled, before: null, after }] };
}

function ignition(words: readonly string[]): string[] {
  if (!words.some((word) => /^ignition\.firstboot(=1)?$/.test(word))) return [];
  return [
    'ignition.firstboot on the kernel command line has Ignition configure this guest again: finish the first boot, and take it off.',
  ];
}

const service = '/etc/systemd/system/multi-user.target.wants/kdump.service';

/** kdump.conf(5): without a target, to /var/crash on the root's file system. */
function crashDumps(look: Look, words: readonly string[]): string[] {
  const { reader } = look;
  if (reader.stat(service) === undefined || !words.some((word) => word.startsWith('crashkernel='))) return [];
  const lines = (textIfThere(reader, '/etc/kdump.conf') ?? '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const remote = lines.some(([key = '']) => ['nfs', 'nfs4', 'net', 'ssh'].includes(key));
  const [, device] = lines.find(([key = '']) => /^(raw|ext[234]|xfs|btrfs|minix|virtiofs)$/.test(key)) ?? [];
  if (remote || (device !== undefined && !isOnSystem(look, device))) return [];
  const where = device ?? '/var/crash';
  return [
    `kdump writes a crash's memory to ${where} on the disk that becomes read-only: name another target (nfs, ssh) in /etc/kdump.conf and restart it once, or \`systemctl disable kdump\`.`,
  ];
}

function isOnSystem({ reader, systemDisks }: Look, source: string): boolean {
  return systemDisks.includes(findNamedDevice(reader, deviceFile(source)).disks);
}

/**
 * overlayfs asks for file types in its upper layer (Documentation/filesystems/overlayfs.rst, d_type). With such a lower
 * layer it was seen to work on the kernel of RHEL 7.9 (3.10.0-1160), which logged nothing about it.
 */
function fileTypes({ reader, mounts }: Look): string[] {
  const mount = mounts.serving('/var');
  if (mount?.type !== 'xfs' || hasFileTypes(reader, `/dev/block/${mount.device}`) !== false) return [];
  return [
    `The XFS of ${mount.target} was made with ftype=0, the default before RHEL 7.3. The overlay over it works (seen on kernel 3.10.0-1160), and the kernel logs nothing about it.`,
  ];
}
