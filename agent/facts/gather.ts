import { type Config, formatProblem, forwardProblems, readConfig } from '../config/config.ts';
import { HostError, errorMessage } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';
import type { SystemReader, Usage } from '../system/reader.ts';
import { type BootEnv, bootEnvFile, parseBootEnv } from './boot/boot-env.ts';
import { readLoader } from './boot/boot-loader.ts';
import { findConflictingOverlays } from './boot/conflicting-overlays.ts';
import { findFirmware } from './boot/firmware.ts';
import { parseKernelArgument, splitKernelArguments } from './boot/kernel-arguments.ts';
import { type Layer, layersOf, upperFolder } from './boot/layers.ts';
import { findProvisioning } from './boot/provisioning.ts';
import { findBlockDevices } from './disks/block-devices.ts';
import { findDisks } from './disks/disks.ts';
import { partitionsOf } from './disks/partitions.ts';
import { readSwaps } from './disks/swaps.ts';
import type { Facts } from './facts.ts';
import { findForwarder } from './forwarder.ts';
import { readIdentity } from './identity.ts';
import { type LargestFile, findLargestFiles } from './largest-files.ts';
import { type LastReport, readLastReport } from './last-report.ts';
import { readFstab } from './mounts/fstab-devices.ts';
import { hangSafe } from './mounts/hang-safe.ts';
import { type MountTable, mountTable, unreadableTable } from './mounts/mountinfo.ts';
import { findNamespaceProblems } from './mounts/namespace-check.ts';
import { startProbes } from './mounts/targets.ts';
import { type Observed, observe, observeAsync, unwrap } from './observed.ts';
import { findAuditTrail } from './security/audit-trail.ts';
import { findAutostart } from './security/autostart.ts';
import { type Labels, type Selinux, findLabels, readSelinux } from './security/labels.ts';
import { findLockdown } from './security/lockdown.ts';

export interface GatherOptions {
  /** Whether to try the operations that REQUIRE_OPTIONS forbids. */
  probe: boolean;
}

/** Reads every fact once. If a fact cannot be read, its error is kept, and the checks that need the fact report it. */
export async function gatherFacts(
  system: SystemReader,
  { probe }: GatherOptions = { probe: false },
): Promise<Facts> {
  const mounts = readMounts(system);
  const reader = withKernelLogReadOnce(withHangingAvoided(system, mounts));
  const { config, problems } = readConfig(reader);
  // The child processes of the probes run while the other facts are read.
  const { answers } = await startProbes(reader, config, mounts, probe);
  const cmdline = readCmdline(reader);
  const argument = parseKernelArgument(cmdline);
  const kernelArgument = splitKernelArguments(cmdline);
  const identity = readIdentity(reader);
  const lastReport = observe(() => readLastReport(reader, identity.bootId));
  const bootEnv = observe(() => readBootEnv(reader));
  const layers = layersOf('value' in bootEnv ? bootEnv.value : undefined);
  const selinux = observe(() => readSelinux(reader));
  return {
    identity,
    config,
    configProblems: [...problems.map(formatProblem), ...argument.problems],
    forwardProblems: forwardProblems(problems),
    kernelArgument,
    requestedMode: argument.mode ?? config.MODE,
    mounts,
    namespaceProblems: observe(() => findNamespaceProblems(reader, mounts)),
    ...readDisks(reader, mounts, lastReport),
    bootEnv,
    layers,
    ...readVar(reader, config, mounts),
    fstab: observe(() => readFstab(reader)),
    swaps: observe(() => readSwaps(reader)),
    selinux: observe(() => unwrap(selinux) !== undefined),
    autorelabel: observe(() => reader.stat('/.autorelabel') !== undefined),
    conflictingOverlays: observe(() => findConflictingOverlays(reader, kernelArgument)),
    lockdown: observe(() => findLockdown(reader)),
    loader: observe(() => readLoader(reader)),
    provisioning: observe(() => findProvisioning(reader, kernelArgument)),
    autostart: observe(() => findAutostart(reader)),
    mtab: observe(() => readMtab(reader)),
    forward: observe(() => findForwarder(reader)),
    audit: observe(() => findAuditTrail(reader)),
    labels: await observeAsync(() => readLabels(reader, unwrap(selinux), mounts, layers)),
    lastReport,
    ...(await answers),
  };
}

/**
 * Reads the mount table. If that fails, the returned table throws the error on each access, so that facts that do not
 * need the mounts can still be read.
 */
function readMounts(reader: SystemReader): MountTable {
  try {
    return mountTable(reader.read('/proc/self/mountinfo', 64 * 1024 * 1024));
  } catch (error) {
    return unreadableTable(
      new HostError(`/proc/self/mountinfo: ${errorMessage(error).replace(/^\/\S+: /, '')}`),
    );
  }
}

/**
 * Returns a reader that avoids file systems that may hang; the unchanged reader if the mounts, and therefore these file
 * systems, are unknown.
 */
function withHangingAvoided(reader: SystemReader, mounts: MountTable): SystemReader {
  const found = observe(() => hangSafe(reader, mounts));
  return 'value' in found ? found.value : reader;
}

/**
 * Returns a reader that caches the kernel log, because the log has thousands of records and is read for each read-only
 * SCSI disk.
 */
function withKernelLogReadOnce(reader: SystemReader): SystemReader {
  let log: Observed<string[]> | undefined;
  return { ...reader, kernelLog: () => unwrap((log ??= observe(() => reader.kernelLog()))) };
}

function readCmdline(reader: SystemReader): string {
  const read = observe(() => reader.read('/proc/cmdline'));
  return 'value' in read ? decodeBytes(read.value) : '';
}

function readDisks(
  reader: SystemReader,
  mounts: MountTable,
  lastReport: Observed<LastReport | undefined>,
): Pick<Facts, 'disks' | 'blockDevices' | 'partitions' | 'firmware'> {
  const last = 'value' in lastReport ? lastReport.value?.disks : undefined;
  const lastEvidence = (name: string) => last?.get(name);
  const disks = observe(() => findDisks(reader, mounts.all, lastEvidence));
  const known = new Map('value' in disks ? disks.value.map((disk) => [disk.name, disk]) : []);
  const blockDevices = observe(() => findBlockDevices(reader, known, lastEvidence));
  const partitions = observe(() => partitionsOf(unwrap(blockDevices)));
  const firmware = observe(() => findFirmware(reader, mounts, unwrap(partitions)));
  return { disks, blockDevices, partitions, firmware };
}

function readBootEnv(reader: SystemReader): BootEnv | undefined {
  const text = reader.readRecord(bootEnvFile, 'root', 65536);
  return text === undefined ? undefined : parseBootEnv(decodeBytes(text));
}

/**
 * Reads the use of /var only if /var is an overlay. Any other file system on /var has no upper layer of the agent and
 * may be on a server that does not respond.
 */
function readVar(
  reader: SystemReader,
  config: Config,
  mounts: MountTable,
): Pick<Facts, 'varUsage' | 'largestFiles'> {
  const varUsage = observe(() =>
    mounts.serving('/var')?.type === 'overlay' ? reader.usage('/var') : undefined,
  );
  const usage = 'value' in varUsage ? varUsage.value : undefined;
  return { varUsage, largestFiles: observe(() => readLargestFiles(reader, config, usage, mounts)) };
}

function readLargestFiles(
  reader: SystemReader,
  { USAGE_WARN }: Config,
  usage: Usage | undefined,
  mounts: MountTable,
): LargestFile[] {
  if (usage === undefined) return [];
  const { usedBytes, sizeBytes, inodesUsed, inodes } = usage;
  const share = Math.max(usedBytes / (sizeBytes || Infinity), inodesUsed / (inodes || Infinity));
  if (share * 100 < parseInt(USAGE_WARN, 10)) return [];
  return findLargestFiles(reader, upperFolder, (folder) => mounts.at(folder).length > 0);
}

function readMtab(reader: SystemReader): string | undefined {
  return reader.stat('/etc/mtab')?.kind === 'link' ? decodeBytes(reader.link('/etc/mtab')) : undefined;
}

/** Reads the SELinux labels of the overlays that the boot mounted and of /tmp. */
async function readLabels(
  reader: SystemReader,
  selinux: Selinux | undefined,
  mounts: MountTable,
  layers: readonly Layer[],
): Promise<Labels | undefined> {
  if (selinux === undefined) return undefined;
  const overlays = layers.filter(({ target }) => mounts.serving(target)?.type === 'overlay');
  return findLabels(reader, selinux, [...overlays.map(({ target }) => target), '/tmp']);
}
