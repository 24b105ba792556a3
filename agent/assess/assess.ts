import type { Facts } from '../facts/facts.ts';
import { observe, unwrap, valueOf } from '../facts/observed.ts';
import type { Autostart } from '../facts/security/autostart.ts';
import { decideEnforcement, findHostReadOnlyTargets, findSystemDisks } from './system-disks.ts';
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
import { findPersisted, findScratch } from './persisted.ts';
import { findUnexplainedMounts } from './unexplained-mounts.ts';

export type AssessedFacts = ReturnType<typeof assess>;

/**
 * Adds the conclusions from the facts, each made once. If the facts for a judgement could not be read, the judgement is
 * their error. Pure; never throws.
 */
export function assess(facts: Facts) {
  const { blockDevices, bootEnv, disks, mounts } = facts;
  const carriers = carriersByTag(valueOf(blockDevices) ?? []);
  const systemDisks = observe(() => findSystemDisks(facts, unwrap(disks)));
  const footholds = observe(() => [...findFootholds(facts), ...findRawScratch(facts)]);
  const foreignMounts = observe(() => findForeignMounts(facts, carriers));
  const enforcement = observe(() => decideEnforcement(unwrap(systemDisks).disks, mounts));
  const impostors = observe(() => findImpostors(facts, carriers));
  // If the foreign mounts are unknown, mounts-genuine reports it.
  const foreignRoot = valueOf(foreignMounts)?.find(({ target }) => target === '/');
  const mode = decideMode(facts.requestedMode, bootEnv, disks, foreignRoot);
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
    persisted: observe(() => findPersisted(facts, mode)),
    /** The paths of SCRATCH. */
    scratchPaths: observe(() => findScratch(facts, mode)),
    impostors,
    /** The impostors from which the machine may have started. */
    possibleRoots: observe(() => findPossibleRoots(facts, unwrap(impostors))),
    /** The mounts that use an impostor. */
    foreignMounts,
    /** Mounts inside a layer or over files of the sealed disk that nothing on the sealed disk explains. */
    unexplainedMounts: observe(() =>
      findUnexplainedMounts({
        ...facts,
        fstab: unwrap(facts.fstab).lines,
        mountUnits: unwrap(facts.mountUnits),
        overlays: unwrap(facts.overlays),
      }),
    ),
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
