import type { Host, Usage } from '../host.ts';
import { HostError, errorMessage } from '../errors.ts';
import { type Config, formatProblem, readConfig, words } from '../config.ts';
import { type Disk, findDisks } from './disks.ts';
import { type Handoff, type Mode, handoffFile, parseHandoff } from './handoff.ts';
import { parseKernelArgument } from './kernel-argument.ts';
import { type MountTable, mountTable } from './mountinfo.ts';
import { type Observed, observe, seen } from './observed.ts';

/** What is true of this guest now. Checks see nothing else. */
export interface Facts {
  identity: { name: string; kernel: string; os: string; bootId: string };
  config: Config;
  /** The configuration's and the kernel argument's, in words. */
  configProblems: string[];
  mode: { mode: Mode; reason: string; /** A writable disk is meant to be sealed too. */ forced: boolean };
  mounts: MountTable;
  disks: Observed<Disk[]>;
  /** undefined: the boot left nothing. */
  handoff: Observed<Handoff | undefined>;
  /** Of /var: an overlay answers for its upper layer, and with its own magic number. */
  varUsage: Observed<Usage>;
  /** By target of REQUIRE_READONLY that is there: errno's name, or OK if a write went through. */
  writeProbes: Record<string, string>;
  /** Targets of REQUIRE_READONLY and REQUIRE_OPTIONS that are there. */
  present: string[];
  /** Where /etc/mtab points; undefined where it is no link. */
  mtab: Observed<string | undefined>;
}

/** @throws HostError where the mounts cannot be read: without them nothing can be said */
export function gatherFacts(host: Host): Facts {
  const { config, problems } = readConfig(host);
  const argument = parseKernelArgument(host.read('/proc/cmdline'));
  const mounts = readMounts(host);
  const disks = observe(() => findDisks(host, mounts.all));
  const handoff = observe(() => readHandoff(host));
  const wanted = words(config.REQUIRE_READONLY);
  const targets = [
    ...wanted,
    ...words(config.REQUIRE_OPTIONS).map((word) => word.slice(0, word.indexOf(':'))),
  ];
  const present = [...new Set(targets)].filter((target) => host.stat(target) !== undefined);
  return {
    identity: identify(host),
    config,
    configProblems: [...problems.map(formatProblem), ...argument.problems],
    mode: decideMode(argument.mode ?? config.MODE, handoff, disks),
    mounts,
    disks,
    handoff,
    varUsage: observe(() => host.usage('/var')),
    writeProbes: Object.fromEntries(
      wanted.filter((each) => present.includes(each)).map((each) => [each, host.tryWrite(each)]),
    ),
    present,
    mtab: observe(() => (host.stat('/etc/mtab')?.kind === 'link' ? host.link('/etc/mtab') : undefined)),
  };
}

function readMounts(host: Host): MountTable {
  const text = host.read('/proc/self/mountinfo', 64 * 1024 * 1024);
  try {
    return mountTable(text);
  } catch (error) {
    throw new HostError(`/proc/self/mountinfo: ${errorMessage(error)}`);
  }
}

function readHandoff(host: Host): Handoff | undefined {
  return host.stat(handoffFile) === undefined ? undefined : parseHandoff(host.read(handoffFile, 65536));
}

/**
 * What the boot decided counts, except that a boot on a disk that is read-only cannot pass for maintenance,
 * nor for off without being told so, whatever stands in /run. Without the boot's word, the disks under / decide as they do in the initramfs.
 */
function decideMode(
  intent: string,
  handoff: Observed<Handoff | undefined>,
  disks: Observed<Disk[]>,
): Facts['mode'] {
  const boot = 'value' in handoff ? handoff.value : undefined;
  const forced = intent === 'sealed';
  const readOnly = rootDisks(disks).filter((disk) => disk.readOnly);
  const plausible =
    boot?.mode === 'sealed' || readOnly.length === 0 || (boot?.mode === 'off' && intent === 'off');
  if (boot !== undefined && plausible) {
    return { mode: boot.mode, reason: boot.reason, forced };
  }
  if (boot === undefined && intent !== 'auto') {
    return { mode: forced ? 'sealed' : 'off', reason: `MODE or kernel argument: ${intent}`, forced };
  }
  const [first] = readOnly;
  if (first === undefined) return { mode: 'maintenance', reason: 'no disk under / is read-only', forced };
  return { mode: 'sealed', reason: `disk ${first.name} is read-only`, forced };
}

function rootDisks(disks: Observed<Disk[]>): Disk[] {
  return 'value' in disks ? seen(disks).filter((disk) => disk.holds.includes('/')) : [];
}

function identify(host: Host): Facts['identity'] {
  const { hostname, kernel } = host.environment();
  const release = observe(() => host.read('/etc/os-release', 65536));
  const bootId = observe(() => host.read('/proc/sys/kernel/random/boot_id').trim());
  const pretty = 'value' in release ? /^PRETTY_NAME="?([^"\n]*)/m.exec(release.value)?.[1] : undefined;
  return { name: hostname, kernel, os: pretty ?? 'unknown', bootId: 'value' in bootId ? bootId.value : '' };
}
