import { words } from '../config/config.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { remountRemedy } from '../assess/enforcement.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check, Outcome } from './check.ts';
import { isWritable } from '../facts/mounts/mountinfo.ts';

/** Verifies that `/` is mounted read-only according to the mount table; root-write-probe tries a write. */
export const rootReadonly: Check = {
  id: 'root-readonly',
  severity: 'required',
  seal: true,
  messageId: 'dab855213d524692b5e50b22076779a2',
  documentation: {
    title: '/ is mounted read-only',
    means:
      'According to the mount table, the mount at / or its file system has the option ro. root-write-probe tries a write; host-enforced checks whether the host enforces read-only.',
    why: 'Changes to a writable / survive a reboot, so a reboot no longer returns the guest to the installed state.',
    fix: 'While the disk is writable, add ro to the options of / in /etc/fstab and remove rw from the kernel command line; then have the host make the disk read-only, and reboot. If / of a sealed guest is writable, a process remounted it. Find out which process did so before you reboot.',
  },
  evaluate: (facts) => readonly(facts, ['/']),
};

/** Verifies that the other targets of REQUIRE_READONLY are mounted read-only. Skips paths that do not exist. */
export const bootReadonly: Check = {
  id: 'boot-readonly',
  severity: 'required',
  seal: true,
  messageId: 'ee2c7b842fe042f79342564f0ad172ce',
  documentation: {
    title: 'the other targets of REQUIRE_READONLY are mounted read-only',
    means:
      'According to the mount table, each path in REQUIRE_READONLY other than / is on a mount with the option ro: /boot by default. A path that does not exist is skipped.',
    why: 'An attacker who can change the kernel or the initramfs controls the next boot, even if / is read-only.',
    fix: 'While the disk is writable, add ro to the options of the path in /etc/fstab, and reboot. If the path is on its own disk, also make that disk read-only in the host.',
  },
  evaluate: (facts) =>
    readonly(
      facts,
      words(facts.config.REQUIRE_READONLY).filter(
        (target) => target !== '/' && facts.present.includes(target),
      ),
    ),
};

function readonly(facts: AssessedFacts, targets: string[]): Outcome {
  const subject = targets.join(' ');
  const expected = 'mounted read-only';
  if (targets.length === 0) {
    return {
      status: 'skip',
      expected,
      observed: 'no other path of REQUIRE_READONLY exists',
    };
  }
  const writable = targets.filter((target) => !isReadOnly(facts, target));
  if (writable.length === 0) return { status: 'pass', subject, expected, observed: 'read-only' };
  const [first = ''] = writable;
  return {
    status: 'fail',
    subject: writable.join(' '),
    expected,
    observed: 'mounted read-write',
    remedy: isInOverlay(facts, first)
      ? `Remove ${first} from REQUIRE_READONLY, or from OVERLAY: a path cannot be in both.`
      : unwrap(facts.hostReadOnlyTargets).has(first)
        ? remountRemedy(first)
        : `While the disk is writable, add ro to the options of ${first} in /etc/fstab, and reboot.`,
  };
}

/** Whether OVERLAY makes a target writable. */
function isInOverlay({ overlayStates, mounts }: AssessedFacts, target: string): boolean {
  const serving = mounts.serving(target)?.target;
  return unwrap(overlayStates).some((each) => each.state === 'overlay' && each.target === serving);
}

function isReadOnly(facts: AssessedFacts, target: string): boolean {
  const mount = facts.mounts.serving(target);
  if (mount === undefined) throw new Error(`no mount serves ${target}`);
  return !isWritable(mount);
}
