import { readAccepted } from '../config/accepted.ts';
import { decodeBytes } from '../lib/format.ts';
import type { SystemReader } from '../system/reader.ts';
import { bootTime, describeClock, readBootState } from './boot-state.ts';
import { readLoader } from './boot/boot-loader.ts';
import { findConflictingOverlays } from './boot/conflicting-overlays.ts';
import { layersOf } from './boot/layers.ts';
import { overlaysOf } from './boot/overlays.ts';
import { readPersistEntries } from './boot/persist.ts';
import { findProvisioning } from './boot/provisioning.ts';
import { readSwaps } from './disks/swaps.ts';
import type { Facts } from './facts.ts';
import { findForwarder } from './forwarder.ts';
import { type Guest, readDisks, readGuest } from './guest.ts';
import { findLargestFiles } from './largest-files.ts';
import { findPanicking } from './mounts/error-behaviour.ts';
import { readFstab } from './mounts/fstab.ts';
import { readMountUnits } from './mounts/mount-units.ts';
import { findNamespaceProblems } from './mounts/namespace-check.ts';
import { startProbes } from './mounts/targets.ts';
import { observe, observeAsync, unwrap, valueOf } from './observed.ts';
import { findAuditTrail } from './security/audit-trail.ts';
import { findAutostart } from './security/autostart.ts';
import { findExecBypass } from './security/exec-bypass.ts';
import { readLabels, readSelinux } from './security/labels.ts';
import { findLockdown, readFipsMode } from './security/lockdown.ts';
import { readForeignPrograms } from './security/programs/foreign-programs.ts';
import { findRandomSources } from './security/random-sources.ts';
import { findServiceDomains } from './security/service-domains.ts';
import { readUsageHistory } from './usage-history.ts';

export interface GatherOptions {
  /** Whether to try the operations that REQUIRE_OPTIONS forbids. */
  probe: boolean;
}

/** Reads every fact once. If a fact cannot be read, its error is kept, and the checks that need the fact report it. */
export async function gatherFacts(
  system: SystemReader,
  { probe }: GatherOptions = { probe: false },
): Promise<Facts> {
  const guest = readGuest(system);
  const { reader, ...known } = guest;
  const { identity, config, mounts, kernelArgument } = guest;
  // The child processes of the probes run while the other facts are read.
  const { answers } = await startProbes(reader, config, mounts, probe);
  const disks = readDisks(guest);
  const layers = layersOf(valueOf(guest.bootEnv));
  const overlays = observe(() => overlaysOf(config, mounts));
  const selinux = observe(() => readSelinux(reader));
  const bootState = observe(() => readBootState(reader, identity.bootId));
  const recorded = valueOf(bootState);
  return {
    ...known,
    ...disks,
    namespaceProblems: observe(() => findNamespaceProblems(reader, mounts)),
    layers,
    overlays,
    ...(await readVar(guest, layers, overlays)),
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
    mtab: observe(() =>
      reader.stat('/etc/mtab')?.kind === 'link' ? decodeBytes(reader.link('/etc/mtab')) : undefined,
    ),
    forward: observe(() => findForwarder(reader)),
    audit: observe(() => findAuditTrail(reader)),
    labels: await observeAsync(() => readLabels(reader, unwrap(selinux), mounts, layers, overlays)),
    bootState,
    clockChange: recorded && describeClock(recorded, bootTime(reader)),
    ...(await answers),
    // Last, because the search takes long enough to exceed the deadlines of the child processes on a slow machine, and so
    // that it does not find the programs that the probes try to run.
    programs: await observeAsync(() => readForeignPrograms(guest, disks.blockDevices)),
  };
}

/**
 * Reads the use of /var only if /var is an overlay. Any other file system on /var has no upper layer of the agent and
 * may be on a server that does not respond.
 */
async function readVar(
  { reader, config, mounts }: Guest,
  layers: Facts['layers'],
  overlays: Facts['overlays'],
): Promise<Pick<Facts, 'varUsage' | 'largestFiles' | 'resetState'>> {
  const below = layers.filter(({ target, state }) => target === '/var' || state === 'overlay');
  const others = (valueOf(overlays) ?? []).filter(({ lower }) => lower !== undefined);
  const uppers = [...below, ...others].map(({ target, upper }) => ({ target, upper }));
  const isMount = (directory: string) => mounts.at(directory).length > 0;
  const varUsage = observe(() =>
    mounts.serving('/var')?.type === 'overlay' ? reader.usage('/var') : undefined,
  );
  const usage = valueOf(varUsage);
  const full = (used: number, size: number) =>
    used * 100 >= size * parseInt(config.USAGE_WARN, 10) && size > 0;
  const isFull =
    usage !== undefined && (full(usage.usedBytes, usage.sizeBytes) || full(usage.inodesUsed, usage.inodes));
  return {
    varUsage,
    largestFiles: observe(() => (isFull ? findLargestFiles(reader, uppers, isMount) : [])),
    resetState: await observeAsync(async () => {
      if (usage === undefined) return { list: [], isComplete: true };
      // The table of services takes long to load.
      const { findResetState } = await import('./reset-state.ts');
      return findResetState(reader, uppers, readAccepted(reader), isMount);
    }),
  };
}
