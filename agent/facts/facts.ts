import { type Config, formatProblem, forwardProblems, readConfig } from '../config/config.ts';
import { HostError, errorMessage } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';
import type { SystemReader, Usage } from '../system/reader.ts';
import { type Autostart, findAutostart } from './security/autostart.ts';
import { type BlockDevice, findBlockDevices } from './disks/block-devices.ts';
import { type Loader, readLoader } from './boot/boot-loader.ts';
import { type Partition, partitionsOf } from './disks/partitions.ts';
import { type Provisioning, findProvisioning } from './boot/provisioning.ts';
import { hangSafe } from './mounts/hang-safe.ts';
import { type Consumer, findLargestFiles } from './largest-files.ts';
import { type Disk, findDisks } from './disks/disks.ts';
import type { Evidence } from './disks/evidence.ts';
import { type Firmware, findFirmware } from './boot/firmware.ts';
import { persistsAt } from '../assess/footholds.ts';
import { type FstabEntry, readFstab, readSwaps } from './mounts/fstab-devices.ts';
import { type Forwarder, findForwarder } from './forwarder.ts';
import type { Fstab } from './mounts/fstab.ts';
import { type BootEnv, bootEnvFile, parseBootEnv } from './boot/boot-env.ts';
import { type Identity, identify } from './identity.ts';
import { parseKernelArgument, splitKernelArguments } from './boot/kernel-argument.ts';
import { type Labels, findLabels, hasSelinux } from './security/labels.ts';
import { type LastReport, readLastReport } from './last-report.ts';
import { layersOf, upperFolder } from '../assess/layers.ts';
import { type Lockdown, findLockdown } from './security/lockdown.ts';
import { logOnce } from './log-once.ts';
import { type Misplaced, findMisplaced } from '../assess/misplaced.ts';
import { type DecidedMode, decideMode } from '../assess/mode.ts';
import { type MountTable, mountTable, unreadableTable } from './mounts/mountinfo.ts';
import { type Observed, observe, observeLater, unwrap } from './observed.ts';
import { findConflictingOverlays } from './boot/conflicting-overlays.ts';
import { type Targets, beginTargets } from './mounts/targets.ts';
import { viewProblems } from './mounts/namespace-check.ts';

/** What is true of this guest now. Checks see nothing else. */
export interface Facts extends Targets {
  identity: Identity;
  config: Config;
  /** The configuration's and the kernel argument's, in words. */
  configProblems: string[];
  /** Those of them with which the forwarder does not start. */
  forwardProblems: string[];
  /** The words of the kernel command line. */
  kernelArgument: string[];
  mode: DecidedMode;
  mounts: MountTable;
  /** Why what is seen here is not the guest itself. */
  view: Observed<string[]>;
  disks: Observed<Disk[]>;
  /** All there are, mounted or not. */
  blockDevices: Observed<BlockDevice[]>;
  /** undefined: the boot left nothing. */
  bootEnv: Observed<BootEnv | undefined>;
  /** Of /var: an overlay answers for its upper layer, and with its own magic number; undefined: no overlay. */
  varUsage: Observed<Usage | undefined>;
  /** What takes up the most of the upper layer; empty while it is not full. */
  largestFiles: Observed<Consumer[]>;
  fstab: Observed<{ lines: FstabEntry[]; problems: Fstab['problems'] }>;
  swaps: Observed<ReturnType<typeof readSwaps>>;
  /** Whether SELinux is on, enforcing or not. */
  selinux: Observed<boolean>;
  /** undefined: without SELinux. */
  labels: Observed<Labels | undefined>;
  /** The file that asks for a relabelling at the next boot. */
  autorelabel: Observed<boolean>;
  conflictingOverlays: Observed<string[]>;
  lockdown: Observed<Lockdown>;
  /** Of all disks, mounted or not. */
  partitions: Observed<Partition[]>;
  /** undefined: started by BIOS. */
  firmware: Observed<Firmware | undefined>;
  loader: Observed<Loader>;
  provisioning: Observed<Provisioning>;
  /** What is run or lets somebody in, in home directories that outlive a reboot. */
  autostart: Observed<Autostart[]>;
  /** Where /etc/mtab points; undefined where it is no link. */
  mtab: Observed<string | undefined>;
  /** undefined: it has not run in this boot. */
  forward: Observed<Forwarder | undefined>;
  /** What `check` said before, in this boot. */
  lastReport: Observed<LastReport | undefined>;
}

export interface Wanted {
  /** Try what REQUIRE_OPTIONS forbids. */
  probe: boolean;
}

/** Everything once. What cannot be seen is in the facts, too: the checks that need it will say so. */
export async function gatherFacts(
  system: SystemReader,
  { probe }: Wanted = { probe: false },
): Promise<Facts> {
  const mounts = readMounts(system);
  const reader = logOnce(careful(system, mounts));
  const { config, problems } = readConfig(reader);
  const { answers } = await beginTargets(reader, config, mounts, probe);
  const read = observe(() => reader.read('/proc/cmdline'));
  const cmdline = 'value' in read ? decodeBytes(read.value) : '';
  const argument = parseKernelArgument(cmdline);
  const kernelArgument = splitKernelArguments(cmdline);
  const identity = identify(reader);
  const lastReport = observe(() => readLastReport(reader, identity.bootId));
  const last = 'value' in lastReport ? lastReport.value?.disks : undefined;
  const remembered = (name: string) => last?.get(name);
  const { disks, blockDevices } = readDisks(reader, mounts, remembered);
  const bootEnv = observe(() => readBootEnv(reader));
  const varUsage = observe(() => readVarUsage(reader, mounts));
  const fstab = observe(() => readFstab(reader, 'value' in blockDevices ? blockDevices.value : []));
  const impostor = rootImpostor({ blockDevices, mounts, fstab, kernelArgument, config, bootEnv });
  return {
    identity,
    config,
    configProblems: [...problems.map(formatProblem), ...argument.problems],
    forwardProblems: forwardProblems(problems),
    kernelArgument,
    mode: decideMode(argument.mode ?? config.MODE, bootEnv, disks, impostor),
    mounts,
    view: observe(() => viewProblems(reader, mounts)),
    disks,
    blockDevices,
    bootEnv,
    varUsage,
    largestFiles: observe(() => readConsumers(reader, config, varUsage, mounts)),
    fstab,
    ...readFiles(reader, kernelArgument),
    ...readBootInputs(reader, mounts, blockDevices),
    provisioning: observe(() => findProvisioning(reader, kernelArgument)),
    autostart: observe(() => findAutostart(reader, (folder) => persistsAt({ mounts, disks }, folder))),
    labels: await observeLater(() => findLabels(reader, labelled(mounts, bootEnv))),
    lastReport,
    ...(await answers),
  };
}

function readFiles(
  reader: SystemReader,
  kernelArgument: readonly string[],
): Pick<
  Facts,
  'swaps' | 'selinux' | 'autorelabel' | 'conflictingOverlays' | 'lockdown' | 'forward' | 'mtab'
> {
  return {
    swaps: observe(() => readSwaps(reader)),
    selinux: observe(() => hasSelinux(reader)),
    autorelabel: observe(() => reader.stat('/.autorelabel') !== undefined),
    conflictingOverlays: observe(() => findConflictingOverlays(reader, kernelArgument)),
    lockdown: observe(() => findLockdown(reader)),
    forward: observe(() => findForwarder(reader)),
    mtab: observe(() =>
      reader.stat('/etc/mtab')?.kind === 'link' ? decodeBytes(reader.link('/etc/mtab')) : undefined,
    ),
  };
}

function readBootInputs(
  reader: SystemReader,
  mounts: MountTable,
  blockDevices: Facts['blockDevices'],
): Pick<Facts, 'partitions' | 'firmware' | 'loader'> {
  const partitions = observe(() => partitionsOf(unwrap(blockDevices)));
  return {
    partitions,
    firmware: observe(() => findFirmware(reader, mounts, unwrap(partitions))),
    loader: observe(() => readLoader(reader)),
  };
}

function readDisks(
  reader: SystemReader,
  mounts: MountTable,
  remembered: (name: string) => Evidence | undefined,
): Pick<Facts, 'disks' | 'blockDevices'> {
  const disks = observe(() => findDisks(reader, mounts.all, remembered));
  const known = new Map('value' in disks ? disks.value.map((disk) => [disk.name, disk]) : []);
  return {
    disks,
    blockDevices: observe(() => findBlockDevices(reader, known, remembered)),
  };
}

/** Where it cannot be told, the check says so. */
function rootImpostor(facts: Parameters<typeof findMisplaced>[0]): Misplaced | undefined {
  const misplaced = observe(() => findMisplaced(facts));
  return 'value' in misplaced ? misplaced.value.find(({ target }) => target === '/') : undefined;
}

/** Without the mounts little can be said, but that little is: every check that asks for one is an error. */
function readMounts(reader: SystemReader): MountTable {
  try {
    return mountTable(reader.read('/proc/self/mountinfo', 64 * 1024 * 1024));
  } catch (error) {
    return unreadableTable(
      new HostError(`/proc/self/mountinfo: ${errorMessage(error).replace(/^\/\S+: /, '')}`),
    );
  }
}

/** Without the mounts nobody knows what may hang. */
function careful(reader: SystemReader, mounts: MountTable): SystemReader {
  const found = observe(() => hangSafe(reader, mounts));
  return 'value' in found ? found.value : reader;
}

function readBootEnv(reader: SystemReader): BootEnv | undefined {
  const text = reader.readRecord(bootEnvFile, 'root', 65536);
  return text === undefined ? undefined : parseBootEnv(decodeBytes(text));
}

/** Only of an overlay: another file system is no layer of ours, and a server's may hang. */
function readVarUsage(reader: SystemReader, mounts: MountTable): Usage | undefined {
  return mounts.serving('/var')?.type === 'overlay' ? reader.usage('/var') : undefined;
}

function readConsumers(
  reader: SystemReader,
  { USAGE_WARN }: Config,
  usage: Observed<Usage | undefined>,
  mounts: MountTable,
): Consumer[] {
  if (!('value' in usage) || usage.value === undefined) return [];
  const { usedBytes, sizeBytes, inodesUsed, inodes } = usage.value;
  const share = Math.max(usedBytes / (sizeBytes || Infinity), inodesUsed / (inodes || Infinity));
  return share * 100 < parseInt(USAGE_WARN, 10)
    ? []
    : findLargestFiles(reader, upperFolder, (folder) => mounts.at(folder).length > 0);
}

/** The folders that the boot mounts over, and /tmp. */
function labelled(mounts: MountTable, bootEnv: Observed<BootEnv | undefined>): string[] {
  const layers = layersOf('value' in bootEnv ? bootEnv.value : undefined).map(({ target }) => target);
  return [...layers.filter((target) => mounts.serving(target)?.type === 'overlay'), '/tmp'];
}
