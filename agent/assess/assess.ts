import type { Facts } from '../facts/facts.ts';
import { observe, unwrap, valueOf } from '../facts/observed.ts';
import type { Autostart } from '../facts/security/autostart.ts';
import {
  decideEnforcement,
  findHostReadOnlyTargets,
  findRequiredDisks,
  findSystemDisks,
} from './system-disks.ts';
import { type Foothold, findFootholds, findRawScratch } from './footholds.ts';
import {
  findForeignMounts,
  carriersByTag,
  describeEntries,
  findImpostors,
  findPossibleRoots,
} from './impostors.ts';
import { type Forecast, forecastUsage } from './forecast.ts';
import { decideMode } from './mode.ts';
import { assessOverlays } from './overlays.ts';
import { type Persisted, findPersisted } from './persist.ts';
import { type Scratch, findScratch } from './scratch.ts';
import { type MountSources, permittedMounts } from './permitted-mounts.ts';
import { findData, findUndeclared, mountsOfPrograms } from './undeclared-mounts.ts';
import { findUnexplainedMounts } from './unexplained-mounts.ts';

export type AssessedFacts = ReturnType<typeof assess>;

/**
 * Adds the conclusions from the facts, each made once. If the facts for a judgement could not be read, the judgement is
 * their error. Pure; never throws.
 */
export function assess(facts: Facts) {
  const { blockDevices, bootEnv, disks, mounts } = facts;
  const carriers = carriersByTag(valueOf(blockDevices) ?? []);
  const foreignMounts = observe(() => findForeignMounts(facts, carriers));
  const impostors = observe(() => findImpostors(facts, carriers));
  // If the foreign mounts are unknown, mounts-genuine reports it.
  const foreignRoot = valueOf(foreignMounts)?.find(({ target }) => target === '/');
  const mode = decideMode(facts.requestedMode, bootEnv, disks, foreignRoot);
  const persisted = observe(() => findPersisted(facts, mode));
  const scratchPaths = observe(() => findScratch(facts, mode));
  const sources = observe(() => sourcesOf(facts, valueOf(persisted) ?? [], valueOf(scratchPaths) ?? []));
  const permitted = observe(() => permittedMounts(unwrap(sources)));
  const footholds = observe(() => [...findFootholds(facts, unwrap(permitted)), ...findRawScratch(facts)]);
  const systemDisks = observe(() =>
    findSystemDisks(facts, unwrap(disks), mountsOfPrograms(mounts, unwrap(permitted))),
  );
  const enforcement = observe(() => decideEnforcement(unwrap(systemDisks).disks, mounts));
  return {
    ...facts,
    mode,
    /** Whether the host or the guest enforces read-only on the system disks; `none` if this is unknown. */
    enforcement: valueOf(enforcement) ?? 'none',
    /** The disks that the host must make read-only. */
    systemDisks,
    /** The targets among / and REQUIRE_READONLY of which the host made every disk read-only. */
    hostReadOnlyTargets: observe(() => findHostReadOnlyTargets(facts)),
    footholds,
    /** The paths of PERSIST; empty in the mode off. */
    persisted,
    /** The paths of SCRATCH. */
    scratchPaths,
    impostors,
    /** The impostors from which the machine may have started. */
    possibleRoots: observe(() => findPossibleRoots(facts, unwrap(impostors))),
    /** The mounts that use an impostor. */
    foreignMounts,
    /** Mounts inside a layer or over files of the sealed disk that nothing on the sealed disk explains. */
    unexplainedMounts: observe(() => {
      unwrap(facts.fstab);
      unwrap(facts.mountUnits);
      unwrap(facts.overlays);
      return findUnexplainedMounts(unwrap(sources), unwrap(permitted));
    }),
    /** The table of the mounts that may exist. */
    permittedMounts: permitted,
    /** The persistent mounts that are neither on system disks nor data by declaration. */
    undeclaredMounts: observe(() => {
      unwrap(facts.fstab);
      unwrap(facts.mountUnits);
      return findUndeclared(facts, unwrap(permitted), unwrap(systemDisks));
    }),
    /** The mounts that are data by declaration. */
    dataMounts: observe(() => {
      unwrap(disks);
      return findData(mounts, unwrap(permitted));
    }),
    /** The lines of fstab, each with the device that the line is meant for. */
    fstabEntries: observe(() => describeEntries(unwrap(facts.fstab).lines, carriers)),
    /** The state of each path of OVERLAY. */
    overlayStates: observe(() => assessOverlays({ ...facts, systemDisks, mode })),
    /** undefined if there is no forecast, or if /var is not an overlay. */
    forecast: forecastOf(facts),
    /** The start-up files of users whose home directories persist across reboots. */
    persistentAutostart: observe(() => keepPersistent(facts, unwrap(footholds))),
  };
}

/** A fact that could not be read permits nothing; the checks that need the fact report the error. */
function sourcesOf(
  facts: Facts,
  persisted: readonly Persisted[],
  scratchPaths: readonly Scratch[],
): MountSources {
  const { mounts, config, layers, scratchDevice } = facts;
  const disks = valueOf(facts.disks) ?? [];
  const kept = persisted.filter(({ state }) => state === 'kept');
  const provided = scratchPaths.filter(({ state }) => ['disk', 'memory', 'read-only'].includes(state));
  return {
    ...{ mounts, config, layers, scratchDevice, disks },
    fstab: valueOf(facts.fstab)?.lines ?? [],
    mountUnits: valueOf(facts.mountUnits) ?? [],
    overlays: valueOf(facts.overlays) ?? [],
    requiredDisks: findRequiredDisks(facts, disks),
    mounted: new Set([...kept, ...provided].map(({ path }) => path)),
  };
}

/** Makes the forecast; none if the samples are unreadable. The next `check` replaces them, and logs a warning. */
function forecastOf({ varUsage, usageHistory, identity }: Facts): Forecast | undefined {
  const [usage, history] = [valueOf(varUsage), valueOf(usageHistory)];
  return usage && history && forecastUsage(history, { uptime: identity.uptime, ...usage }, usage);
}

function keepPersistent({ autostart, mounts }: Facts, footholds: readonly Foothold[]): Autostart[] {
  const targets = new Set(footholds.filter(({ persistent }) => persistent).map(({ target }) => target));
  return unwrap(autostart)
    .filter(({ home }) => targets.has(mounts.serving(home)?.target ?? ''))
    .map(({ found, ...owner }) => ({ ...owner, ...unwrap(found) }))
    .filter(({ units, files }) => units || files.length > 0);
}
