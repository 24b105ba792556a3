import { readAccepted } from '../config/accepted.ts';
import { decodeBytes } from '../lib/format.ts';
import type { SystemReader } from '../system/reader.ts';
import { bootTime, describeClock, readBootState, readUsageHistory } from './records.ts';
import { readLoader } from './boot/boot-loader.ts';
import { findConflictingOverlays } from './boot/conflicting-overlays.ts';
import { type Layer, layersOf, type Overlay, overlaysOf } from './boot/overlays.ts';
import type { ResetStates } from './reset-state.ts';
import { readPersistEntries } from './boot/persist.ts';
import { findScratchDevice, readScratchEntries, scratchInMemory } from './boot/scratch.ts';
import { readPlannedMoves } from './boot/moves.ts';
import { findProvisioning } from './boot/provisioning.ts';
import { readSeed } from './boot/seed.ts';
import { readSwaps } from './disks/disks.ts';
import { readCertificate } from './certificate.ts';
import { findForwarder } from './forwarder.ts';
import { type Guest, readDisks, readGuest } from './guest.ts';
import { findLargestFiles } from './largest-files.ts';
import { findPanicking } from './mounts/error-behaviour.ts';
import { readFstab } from './mounts/fstab.ts';
import { readMountUnits } from './mounts/mount-units.ts';
import { findNamespaceProblems } from './mounts/namespace-check.ts';
import { startProbes } from './mounts/targets.ts';
import { type Observed, observe, observeAsync, unwrap, valueOf } from './observed.ts';
import { findAuditTrail } from './security/audit.ts';
import { findAutostart } from './security/autostart.ts';
import { findExecBypass, findLockdown, readFipsMode, findRandomSources } from './security/kernel-settings.ts';
import { readLabels, readSelinux, findServiceDomains } from './security/selinux.ts';
import { readSessions } from './sessions.ts';
import { readForeignPrograms } from './security/programs/foreign-programs.ts';

export interface GatherOptions {
  /** Whether to try the operations that REQUIRE_OPTIONS forbids. */
  probe: boolean;
}

/** The state of this guest, without the judgements of agent/assess/. */
export type Facts = Awaited<ReturnType<typeof gatherFacts>>;

/** Reads every fact once. If a fact cannot be read, its error is kept, and the checks that need the fact report it. */
export async function gatherFacts(system: SystemReader, { probe }: GatherOptions = { probe: false }) {
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
    /** The reasons why the agent does not see the same system as PID 1 of the guest. */
    namespaceProblems: observe(() => findNamespaceProblems(reader, mounts)),
    /** The overlays that boot.env records, /var first. */
    layers,
    /** The paths of OVERLAY. */
    overlays,
    ...(await readVar(guest, layers, overlays)),
    /** The samples of the use of the upper layer that `check` has kept in this boot. */
    usageHistory: observe(() => readUsageHistory(reader, identity.bootId)),
    /** The paths of PERSIST with the outcome in this boot. */
    persist: readPersistEntries(reader, config),
    /** The paths of SCRATCH with the outcome in this boot. */
    scratch: readScratchEntries(reader, config),
    /** What `prepare` has recorded for the next maintenance boot; undefined if nothing. */
    plannedMoves: observe(() => readPlannedMoves(reader)),
    /** See `findScratchDevice`. */
    scratchDevice: observe(() => findScratchDevice(reader, mounts)),
    /** The mount points of writable ext4 file systems with errors=panic. */
    panicking: observe(() => findPanicking(reader, mounts)),
    fstab: observe(() => readFstab(reader)),
    /** The mount units of the system disk. */
    mountUnits: observe(() => readMountUnits(reader)),
    swaps: observe(() => readSwaps(reader)),
    /** Whether SELinux is enabled, in enforcing or permissive mode. */
    selinux: observe(() => unwrap(selinux) !== undefined),
    /** undefined if SELinux is disabled. */
    serviceDomains: observe(() => {
      const enabled = unwrap(selinux);
      return enabled && findServiceDomains(reader, enabled);
    }),
    /** Whether /.autorelabel exists, which requests a relabelling at the next boot. */
    autorelabel: observe(() => reader.stat('/.autorelabel') !== undefined),
    conflictingOverlays: observe(() => findConflictingOverlays(reader, kernelArgument)),
    lockdown: observe(() => findLockdown(reader)),
    execBypass: observe(() => findExecBypass(reader)),
    /** Whether the kernel runs in FIPS mode. */
    fips: observe(() => readFipsMode(reader)),
    randomSources: observe(() => findRandomSources(reader, kernelArgument)),
    loader: observe(() => readLoader(reader)),
    provisioning: observe(() => findProvisioning(reader, kernelArgument, config.SEED === 'host')),
    /** The copy of the host's seed, and what cloud-init did with it (SEED=host). */
    seed: observe(() => readSeed(reader, identity.root)),
    /** The certificate of the host (IDENTITY=host); undefined if it was not requested in this boot. */
    certificate: observe(() => readCertificate(reader)),
    /** The start-up files of all users who can log in or linger. */
    autostart: observe(() => findAutostart(reader)),
    /** The target of the symbolic link /etc/mtab; undefined if /etc/mtab is not a symbolic link. */
    mtab: observe(() =>
      reader.stat('/etc/mtab')?.kind === 'link' ? decodeBytes(reader.link('/etc/mtab')) : undefined,
    ),
    /** undefined if the forwarder has not run in this boot. */
    forward: observe(() => findForwarder(reader)),
    /** undefined if auditd does not run. */
    audit: observe(() => findAuditTrail(reader)),
    /** undefined if SELinux is disabled. */
    labels: await observeAsync(() => readLabels(reader, unwrap(selinux), mounts, layers, overlays)),
    /** What the first check of this boot recorded; undefined before it. */
    bootState,
    /** How the clock was set since then; undefined if it was not. */
    clockChange: recorded && describeClock(recorded, bootTime(reader)),
    /** The sessions with temporary tools that have not ended. */
    sessions: observe(() => readSessions(reader)),
    ...(await answers),
    // Last, because the search takes long enough to exceed the deadlines of the child processes on a slow machine, and so
    // that it does not find the programs that the probes try to run.
    /**
     * The running programs that did not come from the sealed disk. undefined if they were not searched for: with
     * FOREIGN_PROGRAMS=off or MODE=off, or if the host did not make the disk of the root file system read-only.
     */
    programs: await observeAsync(() => readForeignPrograms(guest, disks.blockDevices)),
  };
}

/**
 * Reads the use of /var only if /var is an overlay. Any other file system on /var has no upper layer of the agent and
 * may be on a server that does not respond.
 */
async function readVar(
  { reader, config, mounts }: Guest,
  layers: readonly Layer[],
  overlays: Observed<Overlay[]>,
) {
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
    /** statfs(2) of the overlay on /var, which reports the upper layer; undefined if /var is not an overlay. */
    varUsage,
    /** The largest files and directories of the upper layers, which share a tmpfs; empty if its use is below USAGE_WARN. */
    largestFiles: observe(() =>
      isFull ? findLargestFiles(reader, [...uppers, ...scratchInMemory(config, mounts)], isMount) : [],
    ),
    /** The undecided state that the next reboot resets (reset-state.ts); nothing if /var is not an overlay. */
    resetState: await observeAsync(async (): Promise<ResetStates> => {
      if (usage === undefined) return { list: [], isComplete: true };
      // The table of services takes long to load.
      const { findResetState } = await import('./reset-state.ts');
      return findResetState(reader, config, uppers, readAccepted(reader), isMount);
    }),
  };
}
