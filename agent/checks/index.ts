import { errorMessage } from '../lib/errors.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { auditForwarded } from './audit.ts';
import { fipsTls, forwardEncrypted, forwardHealthy } from './forwarder.ts';
import { autorelabelAbsent, selinuxDomain, selinuxLabels } from './selinux.ts';
import { bootInputs } from './boot-inputs.ts';
import type { Check, Finding, Outcome, Status } from './check.ts';
import { configValid, kernelView } from './guest.ts';
import { execBypass, kernelLockdownHints, randomSeed } from './kernel-settings.ts';
import { footholds } from './footholds.ts';
import { foreignPrograms } from './foreign-programs.ts';
import { fstabConsistent, mtabLink, swapOff } from './fstab.ts';
import { hostEnforced, rootWriteProbe, impostorAbsent, bootReadonly, rootReadonly } from './system-disks.ts';
import { identity } from './identity.ts';
import { initramfsHook, rootLog } from './boot.ts';
import { mountsGenuine, persistentMounts, stackedMounts } from './mounts.ts';
import {
  deviceProbe,
  execProbe,
  homeOptions,
  mountOptions,
  otherOptions,
  suidProbe,
  tmpOptions,
} from './mount-options.ts';
import { overlayPaths } from './overlays.ts';
import { provisioningOff } from './provisioning.ts';
import { rivalsOff } from './conflicting-overlays.ts';
import { persistedPaths } from './persist.ts';
import { plannedMoves } from './moves.ts';
import { scratchPaths } from './scratch.ts';
import { sessionAbsent } from './sessions.ts';
import { seedGenuine } from './seed.ts';
import { stateKept, varUpperTmpfs, varUsage, varOverlay } from './var.ts';

/** All checks, in the order in which the report lists them. */
export const checks: readonly Check[] = [
  kernelView,
  mountsGenuine,
  rootReadonly,
  bootReadonly,
  hostEnforced,
  persistentMounts,
  impostorAbsent,
  rootWriteProbe,
  varOverlay,
  varUpperTmpfs,
  varUsage,
  stateKept,
  overlayPaths,
  persistedPaths,
  scratchPaths,
  plannedMoves,
  homeOptions,
  tmpOptions,
  otherOptions,
  mountOptions,
  execProbe,
  suidProbe,
  deviceProbe,
  stackedMounts,
  swapOff,
  fstabConsistent,
  mtabLink,
  selinuxLabels,
  selinuxDomain,
  autorelabelAbsent,
  rivalsOff,
  bootInputs,
  provisioningOff,
  seedGenuine,
  identity,
  configValid,
  forwardHealthy,
  auditForwarded,
  forwardEncrypted,
  fipsTls,
  initramfsHook,
  rootLog,
  footholds,
  kernelLockdownHints,
  foreignPrograms,
  sessionAbsent,
  execBypass,
  randomSeed,
];

/** Returns one finding for each check. If a check throws, its status is `error`, and the other checks still run. */
export function evaluate(facts: AssessedFacts, list: readonly Check[] = checks): Finding[] {
  const findings = list.map((check) => evaluateOne(facts, check));
  const isCopy = findings.some(
    ({ id, status, subject }) =>
      id === mountsGenuine.id && status === 'fail' && subject.split(' ').includes('/'),
  );
  return isCopy
    ? findings.map((finding, index) => withoutSealingRemedy(finding, list[index]?.seal === true))
    : findings;
}

function evaluateOne(facts: AssessedFacts, check: Check): Finding {
  const severity = check.isRequired?.test(facts) === true ? 'required' : (check.severity ?? 'required');
  const { status, subject = '', expected = '', observed, remedy = '' } = outcomeOf(facts, check);
  return { id: check.id, severity, status, subject, expected, observed, remedy };
}

function outcomeOf(facts: AssessedFacts, check: Check): Omit<Outcome, 'status'> & { status: Status } {
  const { mode } = facts.mode;
  if (check.seal && mode !== 'sealed') return { status: 'skip', observed: `not checked in mode ${mode}` };
  try {
    const outcome = check.evaluate(facts);
    const { subject = '', expected = '' } = check;
    return outcome.status === 'skip' ? outcome : { subject, expected, ...outcome };
  } catch (error) {
    return { status: 'error', expected: 'a result', observed: errorMessage(error) };
  }
}

/**
 * Replaces the remedy of a finding that concerns the seal if the guest runs from a copy of the system, because an
 * administrator who follows the remedy would seal the copy.
 */
function withoutSealingRemedy(finding: Finding, seal: boolean): Finding {
  if (!seal || finding.remedy === '') return finding;
  return { ...finding, remedy: `Do not seal this copy of the system. Fix ${mountsGenuine.id} first.` };
}
