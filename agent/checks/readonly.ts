import { words } from '../config.ts';
import type { Facts } from '../observe/facts.ts';
import type { Check, Outcome } from './check.ts';

/** `/` is mounted read-only. A claim of the mount table; root-write-probe does it. */
export const rootReadonly: Check = {
  id: 'root-readonly',
  severity: 'required',
  seal: true,
  evaluate: (facts) => readonly(facts, ['/']),
};

/** So is everything else in REQUIRE_READONLY; what is not there is not asked for. */
export const bootReadonly: Check = {
  id: 'boot-readonly',
  severity: 'required',
  seal: true,
  evaluate: (facts) =>
    readonly(
      facts,
      words(facts.config.REQUIRE_READONLY).filter(
        (target) => target !== '/' && facts.present.includes(target),
      ),
    ),
};

function readonly(facts: Facts, targets: string[]): Outcome {
  const subject = targets.join(' ');
  const expected = 'mounted read-only';
  if (targets.length === 0) {
    return {
      status: 'skip',
      subject: '',
      expected,
      observed: 'none of REQUIRE_READONLY is there',
      remedy: '',
    };
  }
  const writable = targets.filter((target) => !isReadOnly(facts, target));
  if (writable.length === 0) return { status: 'pass', subject, expected, observed: 'read-only', remedy: '' };
  const [first = ''] = writable;
  return {
    status: 'fail',
    subject: writable.join(' '),
    expected,
    observed: 'mounted read-write',
    remedy: `Put ro in the options of ${first} in /etc/fstab, while the host leaves the disk writable, and reboot.`,
  };
}

function isReadOnly(facts: Facts, target: string): boolean {
  const mount = facts.mounts.serving(target);
  if (mount === undefined) throw new Error(`no mount serves ${target}`);
  return mount.options.includes('ro') || mount.superOptions.includes('ro');
}
