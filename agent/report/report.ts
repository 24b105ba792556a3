import type { Finding } from '../checks/check.ts';
import { configFile } from '../config/config.ts';
import type { Image } from '../config/image.ts';
import { foundPrograms } from '../checks/foreign-programs.ts';
import { kernelView } from '../checks/guest.ts';
import { hostEnforced } from '../checks/system-disks.ts';
import type { Disk } from '../facts/disks/disks.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import type { Forecast } from '../assess/forecast.ts';
import type { DecidedMode } from '../assess/mode.ts';
import type { DataMount } from '../assess/undeclared-mounts.ts';
import type { Enforcement } from '../assess/system-disks.ts';
import type { LargestFile } from '../facts/largest-files.ts';
import type { ForwardCounts, ForwardState } from '../facts/forwarder.ts';
import type { Foothold } from '../assess/footholds.ts';
import type { OverlayState } from '../assess/overlays.ts';
import type { ForeignProgram } from '../facts/security/programs/foreign-programs.ts';
import type { Persisted } from '../assess/persist.ts';
import type { Scratch } from '../assess/scratch.ts';
import type { Session } from '../facts/sessions.ts';
import type { Impostor, Mode } from '../facts/boot/boot-env.ts';
import { observe, valueOf } from '../facts/observed.ts';
import { version } from '../lib/version.ts';

export type Verdict = 'sealed' | 'unenforced' | 'rehearsal' | 'failed' | 'maintenance' | 'off' | 'unknown';

/** The output of `status --json` and the content of report.json, as described by report.schema.json. */
export interface Report {
  schema: 1;
  agent: { version: string };
  host: { name: string; kernel: string; os: string; bootId: string };
  /** The image from which this guest was started, as /etc/immutafs/image names it; null if it does not. */
  image: Image | null;
  /** What is wrong with /etc/immutafs/image. */
  imageWarnings: string[];
  at: string;
  mode: Mode;
  reason: string;
  verdict: Verdict;
  enforcement: Enforcement;
  /** The rehearsal of a sealed boot (`prepare --rehearse`); null if this boot is not a rehearsal. */
  rehearsal: { limitSeconds: number; endsAt: string } | null;
  disks: Disk[];
  /** Devices that carry an identity of a device on a sealed disk; empty if they could not be determined. */
  impostors: Impostor[];
  var: {
    overlay: boolean;
    lower: string | null;
    upper: string | null;
    assembledBy: 'initramfs' | 'late' | 'none';
    sizeBytes: number | null;
    usedBytes: number | null;
    inodes: number | null;
    inodesUsed: number | null;
    /** The largest files; empty unless the upper layer is nearly full. */
    largest: LargestFile[];
    /** When the upper layer is full at the present rate; null if it does not grow, or if that is unknown. */
    forecast: Forecast | null;
  };
  /** The paths of OVERLAY; empty if their state could not be determined (check overlay-paths). */
  overlays: OverlayState[];
  /**
   * The boot record and its age; null if there is none. `says` lists the fields of the report taken from the record.
   */
  boot: {
    stage: 'initramfs' | 'late';
    version: string;
    at: string;
    ageSeconds: number;
    says: string[];
    warnings: string[];
    errors: string[];
  } | null;
  checks: Finding[];
  footholds: Foothold[];
  /** The running programs that did not come from the sealed disk; null if they were not searched for. */
  programs: { count: number; list: ForeignProgram[] } | null;
  /** The sessions with temporary tools; empty if there are none, or if they are unknown (check session-absent). */
  sessions: Session[];
  /** The mounts that are permitted although the host made none of their disks read-only; empty if they are unknown. */
  data: DataMount[];
  /** The paths of PERSIST; empty in the mode off. */
  persisted: Omit<Persisted, 'remedy'>[];
  /** The paths of SCRATCH; empty if their state could not be determined (check scratch-paths). */
  scratch: Omit<Scratch, 'remedy'>[];
  /** The state that the forwarder records; null if it has not run in this boot or FORWARD is empty. */
  forward: ForwardReport | null;
}

/** The field `forward` of a report. */
interface ForwardReport
  extends
    Pick<
      ForwardState,
      'target' | 'state' | 'since' | 'lastAckAt' | 'lag' | 'error' | 'sources' | 'lostFiles'
    >,
    ForwardCounts {}

/** Builds the report. @param at time at which the facts were gathered */
export function buildReport(facts: AssessedFacts, findings: Finding[], at: Date): Report {
  const { identity, footholds, impostors } = facts;
  const found = foundPrograms(facts);
  return {
    schema: 1,
    agent: { version },
    host: { name: identity.name, kernel: identity.kernel, os: identity.os, bootId: identity.bootId },
    image: facts.image.image ?? null,
    imageWarnings: facts.image.problems,
    at: at.toISOString(),
    mode: facts.mode.mode,
    reason: facts.mode.reason,
    verdict: decideVerdict(facts.mode, findings),
    enforcement: facts.enforcement,
    rehearsal: describeRehearsal(facts, at),
    disks: valueOf(facts.disks) ?? [],
    impostors: valueOf(impostors) ?? [],
    var: describeVar(facts),
    overlays: valueOf(facts.overlayStates) ?? [],
    boot: describeBoot(facts, at),
    checks: findings,
    footholds: valueOf(footholds) ?? [],
    data: valueOf(facts.dataMounts) ?? [],
    programs: found === undefined ? null : { count: found.count, list: found.list },
    sessions: valueOf(facts.sessions) ?? [],
    persisted: (valueOf(facts.persisted) ?? []).map(({ path, state, source, options, reason }) => ({
      path,
      state,
      source,
      options,
      reason,
    })),
    scratch: (valueOf(facts.scratchPaths) ?? []).map(({ path, state, options, reason }) => ({
      path,
      state,
      options,
      reason,
    })),
    forward: describeForward(facts),
  };
}

/**
 * Decides the verdict. `failed` takes precedence over `unknown`, which means that a required check could not be
 * evaluated. If the agent does not see the guest itself (kernel-view), the verdict is `unknown`, whatever the other
 * findings are. A guest with MODE=sealed whose system disks the host left writable is `unenforced`: root can write to them.
 */
export function decideVerdict(
  { mode, rehearsal }: Pick<DecidedMode, 'mode' | 'rehearsal'>,
  findings: readonly Finding[],
): Verdict {
  if (findings.some(({ id, status }) => id === kernelView.id && status === 'error')) return 'unknown';
  const required = findings.filter(({ severity }) => severity === 'required');
  if (required.some(({ status }) => status === 'fail')) return 'failed';
  if (required.some(({ status }) => status === 'error')) return 'unknown';
  if (rehearsal !== undefined) return 'rehearsal';
  const isWritable = findings.some(({ id, status }) => id === hostEnforced.id && status === 'warn');
  return mode === 'sealed' && isWritable ? 'unenforced' : mode;
}

/**
 * Returns the exit code. 0: sealed; 1: a required check failed; 2: only checks of the configuration failed; 3: a required
 * check could not be evaluated; 4: intentionally not sealed. A rehearsal, and a guest with MODE=sealed on a writable disk,
 * are not sealed: root can write to the disk.
 */
export function exitCode({ verdict, checks }: Report): number {
  if (verdict === 'unknown') return 3;
  const failed = checks.filter(({ status, severity }) => status === 'fail' && severity === 'required');
  if (failed.length > 0 && failed.every(isOfConfiguration)) return 2;
  return { sealed: 0, unenforced: 4, rehearsal: 4, failed: 1, maintenance: 4, off: 4 }[verdict];
}

/**
 * Whether a finding concerns the configuration: config-valid, or a forwarder that an invalid line keeps from starting.
 */
function isOfConfiguration({ id, subject }: Finding): boolean {
  return id === 'config-valid' || (id === 'forward-healthy' && subject === configFile);
}

function describeRehearsal({ mode, identity }: AssessedFacts, now: Date): Report['rehearsal'] {
  if (mode.rehearsal === undefined) return null;
  const { limitSeconds } = mode.rehearsal;
  const remaining = limitSeconds - identity.uptime;
  return { limitSeconds, endsAt: new Date(now.getTime() + remaining * 1000).toISOString() };
}

function describeVar(facts: AssessedFacts): Report['var'] {
  const overlay = valueOf(observe(() => facts.mounts.serving('/var')))?.type === 'overlay';
  const layer = overlay ? facts.layers[0] : undefined;
  const usage = overlay ? valueOf(facts.varUsage) : undefined;
  const bootEnv = valueOf(facts.bootEnv);
  return {
    overlay,
    lower: layer?.lower ?? null,
    upper: layer?.upper ?? null,
    assembledBy: overlay && bootEnv?.var === 'overlay' ? bootEnv.assembled : 'none',
    sizeBytes: usage?.sizeBytes ?? null,
    usedBytes: usage?.usedBytes ?? null,
    inodes: usage?.inodes ?? null,
    inodesUsed: usage?.inodesUsed ?? null,
    largest: valueOf(facts.largestFiles) ?? [],
    forecast: facts.forecast ?? null,
  };
}

/** Describes the boot record. `says` lists the only values of the report that are not measured now. */
function describeBoot({ bootEnv, identity }: AssessedFacts, now: Date): Report['boot'] {
  const boot = valueOf(bootEnv);
  if (boot === undefined) return null;
  const ageSeconds = Math.max(0, Math.round(identity.uptime - boot.uptime));
  return {
    stage: boot.stage,
    version: boot.version,
    at: new Date(now.getTime() - ageSeconds * 1000).toISOString(),
    ageSeconds,
    says: ['mode', 'reason', 'var.assembledBy'],
    warnings: boot.warnings,
    errors: boot.errors,
  };
}

/** Describes the forwarder. If its process ended without updating the recorded state, the state is `stopped`. */
function describeForward({ config, forward }: AssessedFacts): ForwardReport | null {
  const forwarder = valueOf(forward);
  if (forwarder === undefined || config.FORWARD === '') return null;
  const { target, state, since, lastAckAt, lag, error, counts, sources, lostFiles } = forwarder.state;
  const stateNow = forwarder.alive ? state : 'stopped';
  return { target, state: stateNow, since, lastAckAt, lag, error, ...counts, sources, lostFiles };
}
