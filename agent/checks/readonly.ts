import { words } from '../config/config.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { remountRemedy } from '../assess/enforcement.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check, Outcome } from './check.ts';

/** `/` is mounted read-only. A claim of the mount table; root-write-probe does it. */
export const rootReadonly: Check = {
  id: 'root-readonly',
  severity: 'required',
  seal: true,
  messageId: 'dab855213d524692b5e50b22076779a2',
  documentation: {
    title: '/ is mounted read-only',
    means: "The mount that processes see at / has the option ro, its own or its file system's.",
    why: 'What can be written to / outlives a reboot, and then a reboot no longer brings the guest back to what was installed. This is what the mount table says; root-write-probe tries it, and host-enforced says whose doing it is.',
    fix: 'While the host leaves the disk writable, put ro in the options of / in /etc/fstab and take rw off the kernel command line; have the host make the disk read-only; reboot. A sealed guest whose / is writable after all was remounted by somebody: find out by whom before you reboot.',
  },
  evaluate: (facts) => readonly(facts, ['/']),
};

/** So is everything else in REQUIRE_READONLY; what is not there is not asked for. */
export const bootReadonly: Check = {
  id: 'boot-readonly',
  severity: 'required',
  seal: true,
  messageId: 'ee2c7b842fe042f79342564f0ad172ce',
  documentation: {
    title: 'the other targets of REQUIRE_READONLY are mounted read-only',
    means:
      'Each path in REQUIRE_READONLY but / itself, by default /boot, is on a mount with the option ro. A path that is not there is not asked for.',
    why: 'Who can write the kernel or the initramfs decides what the next boot does, whatever / is.',
    fix: 'Put ro in the options of the path in /etc/fstab while the host leaves the disk writable, and reboot. If it is on a disk of its own, that disk too has to be made read-only in the host.',
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
    remedy: unwrap(facts.hostReadOnlyTargets).has(first)
      ? remountRemedy(first)
      : `Put ro in the options of ${first} in /etc/fstab, while the host leaves the disk writable, and reboot.`,
  };
}

function isReadOnly(facts: AssessedFacts, target: string): boolean {
  const mount = facts.mounts.serving(target);
  if (mount === undefined) throw new Error(`no mount serves ${target}`);
  return mount.options.includes('ro') || mount.superOptions.includes('ro');
}
