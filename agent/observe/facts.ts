import { type Config, formatProblem, forwardProblems, readConfig } from '../config.ts';
import { HostError, errorMessage } from '../errors.ts';
import { decodeBytes } from '../format.ts';
import type { Host, Usage } from '../host.ts';
import { type Autostart, findAutostart } from './autostart.ts';
import { type BlockDevice, findBlockDevices } from './block-devices.ts';
import { type Loader, readLoader } from './boot-loader.ts';
import { type Partition, partitionsOf } from './partitions.ts';
import { type Provisioning, findProvisioning } from './provisioning.ts';
import { cautious } from './cautious.ts';
import { type Consumer, findConsumers } from './consumers.ts';
import { type Disk, findDisks } from './disks.ts';
import type { Evidence } from './evidence.ts';
import { type Firmware, findFirmware } from './firmware.ts';
import { persistsAt } from './footholds.ts';
import { type FstabEntry, readFstab, readSwaps } from './fstab-devices.ts';
import { type Forwarder, findForwarder } from './forward.ts';
import type { Fstab } from './fstab.ts';
import { type Handoff, handoffFile, parseHandoff } from './handoff.ts';
import { type Identity, identify } from './identity.ts';
import { parseKernelArgument, splitKernelArguments } from './kernel-argument.ts';
import { type Labels, findLabels, hasSelinux } from './labels.ts';
import { type LastReport, readLastReport } from './last-report.ts';
import { layersOf, upperFolder } from './layers.ts';
import { type Lockdown, findLockdown } from './lockdown.ts';
import { logOnce } from './log-once.ts';
import { type Misplaced, findMisplaced } from './misplaced.ts';
import { type DecidedMode, decideMode } from './mode.ts';
import { type MountTable, mountTable, unreadableTable } from './mountinfo.ts';
import { type Observed, observe, observeLater, seen } from './observed.ts';
import { findRivals } from './rivals.ts';
import { type Targets, beginTargets } from './targets.ts';
import { viewProblems } from './view.ts';

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
  handoff: Observed<Handoff | undefined>;
  /** Of /var: an overlay answers for its upper layer, and with its own magic number; undefined: no overlay. */
  varUsage: Observed<Usage | undefined>;
  /** What takes up the most of the upper layer; empty while it is not full. */
  varConsumers: Observed<Consumer[]>;
  fstab: Observed<{ lines: FstabEntry[]; problems: Fstab['problems'] }>;
  swaps: Observed<ReturnType<typeof readSwaps>>;
  /** Whether SELinux is on, enforcing or not. */
  selinux: Observed<boolean>;
  /** undefined: without SELinux. */
  labels: Observed<Labels | undefined>;
  /** The file that asks for a relabelling at the next boot. */
  autorelabel: Observed<boolean>;
  rivals: Observed<string[]>;
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
export async function gatherFacts(system: Host, { probe }: Wanted = { probe: false }): Promise<Facts> {
  const mounts = readMounts(system);
  const host = logOnce(careful(system, mounts));
  const { config, problems } = readConfig(host);
  const { answers } = await beginTargets(host, config, mounts, probe);
  const read = observe(() => host.read('/proc/cmdline'));
  const cmdline = 'value' in read ? decodeBytes(read.value) : '';
  const argument = parseKernelArgument(cmdline);
  const kernelArgument = splitKernelArguments(cmdline);
  const identity = identify(host);
  const lastReport = observe(() => readLastReport(host, identity.bootId));
  const last = 'value' in lastReport ? lastReport.value?.disks : undefined;
  const remembered = (name: string) => last?.get(name);
  const { disks, blockDevices } = readDisks(host, mounts, remembered);
  const handoff = observe(() => readHandoff(host));
  const varUsage = observe(() => readVarUsage(host, mounts));
  const fstab = observe(() => readFstab(host, 'value' in blockDevices ? blockDevices.value : []));
  const impostor = rootImpostor({ blockDevices, mounts, fstab, kernelArgument, config, handoff });
  return {
    identity,
    config,
    configProblems: [...problems.map(formatProblem), ...argument.problems],
    forwardProblems: forwardProblems(problems),
    kernelArgument,
    mode: decideMode(argument.mode ?? config.MODE, handoff, disks, impostor),
    mounts,
    view: observe(() => viewProblems(host, mounts)),
    disks,
    blockDevices,
    handoff,
    varUsage,
    varConsumers: observe(() => readConsumers(host, config, varUsage, mounts)),
    fstab,
    ...readFiles(host, kernelArgument),
    ...readBootInputs(host, mounts, blockDevices),
    provisioning: observe(() => findProvisioning(host, kernelArgument)),
    autostart: observe(() => findAutostart(host, (folder) => persistsAt({ mounts, disks }, folder))),
    labels: await observeLater(() => findLabels(host, labelled(mounts, handoff))),
    lastReport,
    ...(await answers),
  };
}

function readFiles(
  host: Host,
  kernelArgument: readonly string[],
): Pick<Facts, 'swaps' | 'selinux' | 'autorelabel' | 'rivals' | 'lockdown' | 'forward' | 'mtab'> {
  return {
    swaps: observe(() => readSwaps(host)),
    selinux: observe(() => hasSelinux(host)),
    autorelabel: observe(() => host.stat('/.autorelabel') !== undefined),
    rivals: observe(() => findRivals(host, kernelArgument)),
    lockdown: observe(() => findLockdown(host)),
    forward: observe(() => findForwarder(host)),
    mtab: observe(() =>
      host.stat('/etc/mtab')?.kind === 'link' ? decodeBytes(host.link('/etc/mtab')) : undefined,
    ),
  };
}

function readBootInputs(
  host: Host,
  mounts: MountTable,
  blockDevices: Facts['blockDevices'],
): Pick<Facts, 'partitions' | 'firmware' | 'loader'> {
  const partitions = observe(() => partitionsOf(seen(blockDevices)));
  return {
    partitions,
    firmware: observe(() => findFirmware(host, mounts, seen(partitions))),
    loader: observe(() => readLoader(host)),
  };
}

function readDisks(
  host: Host,
  mounts: MountTable,
  remembered: (name: string) => Evidence | undefined,
): Pick<Facts, 'disks' | 'blockDevices'> {
  const disks = observe(() => findDisks(host, mounts.all, remembered));
  const known = new Map('value' in disks ? disks.value.map((disk) => [disk.name, disk]) : []);
  return {
    disks,
    blockDevices: observe(() => findBlockDevices(host, known, remembered)),
  };
}

/** Where it cannot be told, the check says so. */
function rootImpostor(facts: Parameters<typeof findMisplaced>[0]): Misplaced | undefined {
  const misplaced = observe(() => findMisplaced(facts));
  return 'value' in misplaced ? misplaced.value.find(({ target }) => target === '/') : undefined;
}

/** Without the mounts little can be said, but that little is: every check that asks for one is an error. */
function readMounts(host: Host): MountTable {
  try {
    return mountTable(host.read('/proc/self/mountinfo', 64 * 1024 * 1024));
  } catch (error) {
    return unreadableTable(
      new HostError(`/proc/self/mountinfo: ${errorMessage(error).replace(/^\/\S+: /, '')}`),
    );
  }
}

/** Without the mounts nobody knows what may hang. */
function careful(host: Host, mounts: MountTable): Host {
  const found = observe(() => cautious(host, mounts));
  return 'value' in found ? found.value : host;
}

function readHandoff(host: Host): Handoff | undefined {
  const text = host.readRecord(handoffFile, 'root', 65536);
  return text === undefined ? undefined : parseHandoff(decodeBytes(text));
}

/** Only of an overlay: another file system is no layer of ours, and a server's may hang. */
function readVarUsage(host: Host, mounts: MountTable): Usage | undefined {
  return mounts.serving('/var')?.type === 'overlay' ? host.usage('/var') : undefined;
}

function readConsumers(
  host: Host,
  { USAGE_WARN }: Config,
  usage: Observed<Usage | undefined>,
  mounts: MountTable,
): Consumer[] {
  if (!('value' in usage) || usage.value === undefined) return [];
  const { usedBytes, sizeBytes, inodesUsed, inodes } = usage.value;
  const share = Math.max(usedBytes / (sizeBytes || Infinity), inodesUsed / (inodes || Infinity));
  return share * 100 < parseInt(USAGE_WARN, 10)
    ? []
    : findConsumers(host, upperFolder, (folder) => mounts.at(folder).length > 0);
}

/** The folders that the boot mounts over, and /tmp. */
function labelled(mounts: MountTable, handoff: Observed<Handoff | undefined>): string[] {
  const layers = layersOf('value' in handoff ? handoff.value : undefined).map(({ target }) => target);
  return [...layers.filter((target) => mounts.serving(target)?.type === 'overlay'), '/tmp'];
}
