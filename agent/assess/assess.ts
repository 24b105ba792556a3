import type { Impostor } from '../facts/boot/boot-env.ts';
import type { Facts } from '../facts/facts.ts';
import type { FstabEntry } from '../facts/mounts/fstab.ts';
import { type Observed, observe, unwrap, valueOf } from '../facts/observed.ts';
import type { Autostart } from '../facts/security/autostart.ts';
import {
  type Enforcement,
  decideEnforcement,
  findHostReadOnlyTargets,
  type SystemDisks,
  findSystemDisks,
} from './system-disks.ts';
import { type Foothold, findFootholds } from './footholds.ts';
import {
  type ForeignMount,
  findForeignMounts,
  carriersByTag,
  describeEntries,
  findImpostors,
  findPossibleRoots,
} from './impostors.ts';
import { type Forecast, forecastUsage } from './forecast.ts';
import { type DecidedMode, decideMode } from './mode.ts';
import { type OverlayState, assessOverlays } from './overlays.ts';
import { type Persisted, findPersisted, type Scratch, findScratch } from './persisted.ts';
import { type UnexplainedMount, findUnexplainedMounts } from './unexplained-mounts.ts';

/** The conclusions from the facts. If the facts for a judgement could not be read, the judgement is their error. */
interface Judgements {
  mode: DecidedMode;
  /** Whether the host or the guest enforces read-only on the system disks; `none` if this is unknown. */
  enforcement: Enforcement;
  /** The disks that the host must make read-only. */
  systemDisks: Observed<SystemDisks>;
  /** The targets among / and REQUIRE_READONLY of which the host made every disk read-only. */
  hostReadOnlyTargets: Observed<ReadonlySet<string>>;
  footholds: Observed<Foothold[]>;
  /** The paths of PERSIST; empty in the mode off. */
  persisted: Observed<Persisted[]>;
  /** The paths of SCRATCH. */
  scratchPaths: Observed<Scratch[]>;
  impostors: Observed<Impostor[]>;
  /** The impostors from which the machine may have started. */
  possibleRoots: Observed<Impostor[]>;
  /** The mounts that use an impostor. */
  foreignMounts: Observed<ForeignMount[]>;
  /** Mounts inside a layer or over files of the sealed disk that nothing on the sealed disk explains. */
  unexplainedMounts: Observed<UnexplainedMount[]>;
  /** The lines of fstab, each with the device that the line is meant for. */
  fstabEntries: Observed<FstabEntry[]>;
  /** The state of each path of OVERLAY. */
  overlayStates: Observed<OverlayState[]>;
  /** undefined if there is no forecast, or if /var is not an overlay. */
  forecast: Forecast | undefined;
  /** The start-up files of users whose home directories persist across reboots. */
  persistentAutostart: Observed<Autostart[]>;
}

export type AssessedFacts = Facts & Judgements;

/** Makes each judgement once. Pure; never throws. */
export function assess(facts: Facts): AssessedFacts {
  const { blockDevices, bootEnv, disks, mounts } = facts;
  const carriers = carriersByTag(valueOf(blockDevices) ?? []);
  const systemDisks = observe(() => findSystemDisks(facts, unwrap(disks)));
  const footholds = observe(() => findFootholds(facts));
  const foreignMounts = observe(() => findForeignMounts(facts, carriers));
  const enforcement = observe(() => decideEnforcement(unwrap(systemDisks).disks, mounts));
  const impostors = observe(() => findImpostors(facts, carriers));
  // If the foreign mounts are unknown, mounts-genuine reports it.
  const foreignRoot = valueOf(foreignMounts)?.find(({ target }) => target === '/');
  const mode = decideMode(facts.requestedMode, bootEnv, disks, foreignRoot);
  return {
    ...facts,
    mode,
    enforcement: valueOf(enforcement) ?? 'none',
    systemDisks,
    hostReadOnlyTargets: observe(() => findHostReadOnlyTargets(facts)),
    footholds,
    persisted: observe(() => findPersisted(facts, mode)),
    scratchPaths: observe(() => findScratch(facts, mode)),
    impostors,
    possibleRoots: observe(() => findPossibleRoots(facts, unwrap(impostors))),
    foreignMounts,
    unexplainedMounts: observe(() =>
      findUnexplainedMounts({
        ...facts,
        fstab: unwrap(facts.fstab).lines,
        mountUnits: unwrap(facts.mountUnits),
        overlays: unwrap(facts.overlays),
      }),
    ),
    fstabEntries: observe(() => describeEntries(unwrap(facts.fstab).lines, carriers)),
    overlayStates: observe(() => assessOverlays({ ...facts, systemDisks, mode })),
    forecast: forecastOf(facts),
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
