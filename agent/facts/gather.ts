import { readAccepted } from '../config/accepted.ts';
import { type Config, formatProblem, forwardProblems, readConfig, words } from '../config/config.ts';
import { SystemError, errorMessage } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';
import type { SystemReader, Usage } from '../system/reader.ts';
import { bootTime, describeClock, readBootState } from './boot-state.ts';
import { type BootEnv, bootEnvFile, parseBootEnv } from './boot/boot-env.ts';
import { readLoader } from './boot/boot-loader.ts';
import { findConflictingOverlays } from './boot/conflicting-overlays.ts';
import { findFirmware } from './boot/firmware.ts';
import { parseKernelArgument, splitKernelArguments } from './boot/kernel-arguments.ts';
import { type Layer, layersOf } from './boot/layers.ts';
import { type Overlay, overlaysOf } from './boot/overlays.ts';
import { readPersistEntries } from './boot/persist.ts';
import { findProvisioning } from './boot/provisioning.ts';
import { findBlockDevices } from './disks/block-devices.ts';
import { findDisks } from './disks/disks.ts';
import { partitionsOf } from './disks/partitions.ts';
import { readSwaps } from './disks/swaps.ts';
import type { Facts } from './facts.ts';
import { findForwarder } from './forwarder.ts';
import { readIdentity } from './identity.ts';
import { type LargestFile, type UpperLayer, findLargestFiles } from './largest-files.ts';
import { type LastReport, readLastReport } from './last-report.ts';
import { findPanicking } from './mounts/error-behaviour.ts';
import { readFstab } from './mounts/fstab-devices.ts';
import { readMountUnits } from './mounts/mount-units.ts';
import { hangSafe } from './mounts/hang-safe.ts';
import { type MountTable, mountTable, unreadableTable } from './mounts/mountinfo.ts';
import { findNamespaceProblems } from './mounts/namespace-check.ts';
import { startProbes } from './mounts/targets.ts';
import { type ResetStates, findResetState } from './reset-state.ts';
import { readUsageHistory } from './usage-history.ts';
import { type Observed, observe, observeAsync, unwrap } from './observed.ts';
import { withSlowReadOnce, withTablesOfReport } from './slow-reads.ts';
import { findAuditTrail } from './security/audit-trail.ts';
import { findAutostart } from './security/autostart.ts';
import { type Labels, type Selinux, findLabels, readSelinux } from './security/labels.ts';
import { findExecBypass } from './security/exec-bypass.ts';
import { findLockdown } from './security/lockdown.ts';
import { type ForeignPrograms, findForeignPrograms } from './security/programs/foreign-programs.ts';
import { findSealedDevices } from './security/programs/sealed-devices.ts';
import { findServiceDomains } from './security/service-domains.ts';
import { readFipsMode } from './security/fips.ts';
import { findRandomSources } from './security/random-sources.ts';

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
  const safe = withSlowReadOnce(withHangingAvoided(system, mounts));
  const identity = readIdentity(safe);
  const lastReport = observe(() => readLastReport(safe, identity.bootId));
  const reader = identity.root ? safe : withTablesOfReport(safe, lastReport);
  const { config, problems } = readConfig(reader);
  // The child processes of the probes run while the other facts are read.
  const { answers } = await startProbes(reader, config, mounts, probe);
  const cmdline = readCmdline(reader);
  const argument = parseKernelArgument(cmdline);
  const kernelArgument = splitKernelArguments(cmdline);
  const bootState = observe(() => readBootState(reader, identity.bootId));
  const recorded = 'value' in bootState ? bootState.value : undefined;
  const bootEnv = observe(() => readBootEnv(reader));
  const layers = layersOf('value' in bootEnv ? bootEnv.value : undefined);
  const overlays = observe(() => overlaysOf(config, mounts));
  const selinux = observe(() => readSelinux(reader));
  const disks = readDisks(reader, mounts, lastReport);
  const requestedMode = argument.mode ?? config.MODE;
  return {
    identity,
    config,
    configProblems: [...problems.map(formatProblem), ...argument.problems],
    forwardProblems: forwardProblems(problems),
    kernelArgument,
    requestedMode,
    mounts,
    namespaceProblems: observe(() => findNamespaceProblems(reader, mounts)),
    ...disks,
    bootEnv,
    layers,
    overlays,
    ...readVar(reader, config, mounts, uppersOf(layers, overlays)),
    usageHistory: observe(() => readUsageHistory(reader, identity.bootId)),
    persist: readPersistEntries(reader, config),
    panicking: observe(() => findPanicking(reader, mounts)),
    fstab: observe(() => readFstab(reader)),
    mountUnits: observe(() => readMountUnits(reader)),
    swaps: observe(() => readSwaps(reader)),
    selinux: observe(() => unwrap(selinux) !== undefined),
    serviceDomains: observe(() => {
      const enabled = unwrap(selinux);
      return enabled && findServiceDomains(reader, enabled);
    }),
    autorelabel: observe(() => reader.stat('/.autorelabel') !== undefined),
    conflictingOverlays: observe(() => findConflictingOverlays(reader, kernelArgument)),
    lockdown: observe(() => findLockdown(reader)),
    execBypass: observe(() => findExecBypass(reader)),
    fips: observe(() => readFipsMode(reader)),
    randomSources: observe(() => findRandomSources(reader, kernelArgument)),
    loader: observe(() => readLoader(reader)),
    provisioning: observe(() => findProvisioning(reader, kernelArgument)),
    autostart: observe(() => findAutostart(reader)),
    mtab: observe(() => readMtab(reader)),
    forward: observe(() => findForwarder(reader)),
    audit: observe(() => findAuditTrail(reader)),
    labels: await observeAsync(() => readLabels(reader, unwrap(selinux), mounts, layers, overlays)),
    bootState,
    clockChange: recorded && describeClock(recorded, bootTime(reader)),
    lastReport,
    ...(await answers),
    // Last, because the search takes long enough to exceed the deadlines of the child processes on a slow machine, and so
    // that it does not find the programs that the probes try to run.
    programs: await observeAsync(() => readPrograms(reader, config, requestedMode, mounts, disks, bootEnv)),
  };
}

/**
 * Searches for foreign programs alone, and lists all of them.
 * @returns undefined if the search is switched off, or the host did not make the disk under / read-only
 */
export async function gatherPrograms(system: SystemReader): Promise<Observed<ForeignPrograms | undefined>> {
  const mounts = readMounts(system);
  const reader = withSlowReadOnce(withHangingAvoided(system, mounts));
  const { config } = readConfig(reader);
  const mode = parseKernelArgument(readCmdline(reader)).mode ?? config.MODE;
  const lastReport = observe(() => readLastReport(reader, readIdentity(reader).bootId));
  const disks = readDisks(reader, mounts, lastReport);
  const bootEnv = observe(() => readBootEnv(reader));
  return observeAsync(() => readPrograms(reader, config, mode, mounts, disks, bootEnv, Infinity));
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
      new SystemError(`/proc/self/mountinfo: ${errorMessage(error).replace(/^\/\S+: /, '')}`),
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

/**
 * Searches for foreign programs only if the host made the disk of the root file system read-only. Otherwise every
 * program would be one.
 */
async function readPrograms(
  reader: SystemReader,
  { FOREIGN_PROGRAMS, FOREIGN_PROGRAMS_ALLOW }: Config,
  requestedMode: string,
  mounts: MountTable,
  { blockDevices }: Pick<Facts, 'blockDevices'>,
  bootEnv: Facts['bootEnv'],
  listed?: number,
): Promise<ForeignPrograms | undefined> {
  if (FOREIGN_PROGRAMS === 'off' || requestedMode === 'off') return undefined;
  const sealed = findSealedDevices(mounts, unwrap(blockDevices));
  if (!sealed.has(mounts.serving('/')?.device ?? '')) return undefined;
  const limit = listed === undefined ? {} : { listed };
  const allowed = words(FOREIGN_PROGRAMS_ALLOW);
  const initramfs = 'value' in bootEnv ? bootEnv.value : undefined;
  return findForeignPrograms(reader, mounts, { sealed, allowed, initramfs, ...limit });
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
  uppers: readonly UpperLayer[],
): Pick<Facts, 'varUsage' | 'largestFiles' | 'resetState'> {
  const varUsage = observe(() =>
    mounts.serving('/var')?.type === 'overlay' ? reader.usage('/var') : undefined,
  );
  const usage = 'value' in varUsage ? varUsage.value : undefined;
  const isMount = (directory: string) => mounts.at(directory).length > 0;
  const none: ResetStates = { list: [], isComplete: true };
  return {
    varUsage,
    largestFiles: observe(() => readLargestFiles(reader, config, usage, isMount, uppers)),
    resetState: observe(() =>
      usage === undefined ? none : findResetState(reader, uppers, readAccepted(reader), isMount),
    ),
  };
}

/** Lists the upper layers on the tmpfs of /var. */
function uppersOf(layers: readonly Layer[], overlays: Observed<Overlay[]>): UpperLayer[] {
  const below = layers.filter(({ target, state }) => target === '/var' || state === 'overlay');
  const others = 'value' in overlays ? overlays.value.filter(({ lower }) => lower !== undefined) : [];
  return [...below, ...others].map(({ target, upper }) => ({ target, upper }));
}

function readLargestFiles(
  reader: SystemReader,
  { USAGE_WARN }: Config,
  usage: Usage | undefined,
  isMount: (directory: string) => boolean,
  uppers: readonly UpperLayer[],
): LargestFile[] {
  if (usage === undefined) return [];
  const { usedBytes, sizeBytes, inodesUsed, inodes } = usage;
  const share = Math.max(usedBytes / (sizeBytes || Infinity), inodesUsed / (inodes || Infinity));
  if (share * 100 < parseInt(USAGE_WARN, 10)) return [];
  return findLargestFiles(reader, uppers, isMount);
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
  overlays: Observed<Overlay[]>,
): Promise<Labels | undefined> {
  if (selinux === undefined) return undefined;
  const ofVar = layers.filter(({ target }) => mounts.serving(target)?.type === 'overlay');
  const others = unwrap(overlays).flatMap(({ target, lower }) =>
    lower === undefined ? [] : [[target, lower.directory] as const],
  );
  const directories = [...ofVar.map(({ target }) => target), '/tmp'];
  return findLabels(reader, selinux, directories, others);
}
