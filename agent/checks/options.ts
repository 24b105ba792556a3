import { shortList } from '../lib/format.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { type Mount, isWritable } from '../facts/mounts/mountinfo.ts';
import { requiredOptions } from '../facts/mounts/targets.ts';
import type { Check, Outcome } from './check.ts';

/** Verifies that /home, where users write files, has the mount options that REQUIRE_OPTIONS requires. */
export const homeOptions: Check = {
  id: 'home-options',
  severity: 'required',
  seal: false,
  messageId: '1bb60bd7f0da45d5b054b738622428eb',
  documentation: {
    title: '/home has the mount options that REQUIRE_OPTIONS requires',
    means:
      'According to the mount table, the mount that serves /home and every writable mount below it have each required option: noexec, nosuid and nodev by default. exec-probe, suid-probe and device-probe try the operations.',
    why: 'Users write to /home. With these options no file there can run as a program, grant the rights of another user, or act as a device.',
    fix: 'Add the missing options to the line of /home in /etc/fstab; until the next boot: `mount -o remount,noexec,nosuid,nodev /home`. If /home is part of /, move it to its own file system or to a tmpfs.',
    page: 'prepare-home.md',
  },
  evaluate: (facts) =>
    evaluateOptions(facts, (target) => target === '/home', 'REQUIRE_OPTIONS does not name /home'),
};

/** Verifies that /tmp has the mount options that REQUIRE_OPTIONS requires. */
export const tmpOptions: Check = {
  id: 'tmp-options',
  severity: 'required',
  seal: false,
  messageId: '8f2ffb30eaa149d5be3f736de58f6791',
  documentation: {
    title: '/tmp has the mount options that REQUIRE_OPTIONS requires',
    means:
      'According to the mount table, the mount that serves /tmp and every writable mount below it have each required option: noexec, nosuid and nodev by default. exec-probe, suid-probe and device-probe try the operations.',
    why: 'Every user may write to /tmp, so attackers unpack and run their tools there first.',
    fix: 'Add the missing options to the line of /tmp in /etc/fstab or to tmp.mount; until the next boot: `mount -o remount,noexec,nosuid,nodev /tmp`. If /tmp is part of /, make it a tmpfs: `systemctl enable tmp.mount`.',
    page: 'prepare.md',
  },
  evaluate: (facts) =>
    evaluateOptions(facts, (target) => target === '/tmp', 'REQUIRE_OPTIONS does not name /tmp'),
};

/** Verifies that every other path in REQUIRE_OPTIONS has its mount options. */
export const otherOptions: Check = {
  id: 'other-options',
  severity: 'required',
  seal: false,
  messageId: '0f4e50f79a3343bca7f738dee3d53814',
  documentation: {
    title: 'every other path in REQUIRE_OPTIONS has its mount options',
    means:
      'According to the mount table, the mount that serves each path in REQUIRE_OPTIONS other than /home and /tmp has the options named there, and so has every writable mount below it. A path that does not exist is skipped.',
    why: 'The setting REQUIRE_OPTIONS in /etc/immutafs/immutafs.conf requires these options.',
    fix: 'Add the missing options to the line of the path in /etc/fstab and remount it.',
  },
  evaluate: (facts) =>
    evaluateOptions(
      facts,
      (target) => target !== '/home' && target !== '/tmp',
      'REQUIRE_OPTIONS names no other path',
    ),
};

function evaluateOptions(
  facts: AssessedFacts,
  wanted: (target: string) => boolean,
  nothing: string,
): Outcome {
  const required = requiredOptions(facts.config).filter(({ target }) => wanted(target));
  const there = required.filter(({ target }) => facts.present.includes(target));
  if (there.length === 0) {
    const observed =
      required.length === 0 ? nothing : `${required.map(({ target }) => target).join(' ')} does not exist`;
    return { status: 'skip', observed };
  }
  const subject = there.map(({ target }) => target).join(' ');
  const expected = [...new Set(there.flatMap(({ list }) => list))].join(',');
  const wrong = there.flatMap(({ target, list }) => missing(facts, target, list));
  if (wrong.length === 0) return { status: 'pass', subject, expected, observed: expected };
  const observed = shortList(
    wrong.map(({ target, text }) => (there.length > 1 ? `${target} ${text}` : text)),
    '; ',
  );
  const remedy = shortList(wrong.map((each) => each.remedy));
  return { status: 'fail', subject, expected, observed, remedy };
}

interface Missing {
  target: string;
  text: string;
  remedy: string;
}

function missing(facts: AssessedFacts, target: string, list: string[]): Missing[] {
  const mount = facts.mounts.serving(target);
  if (mount === undefined) throw new Error(`no mount serves ${target}`);
  return [...missingAt(mount, target, list), ...missingBelow(facts, target, list)];
}

function missingAt(mount: Mount, target: string, list: string[]): Missing[] {
  const lacking = list.filter((option) => !mount.options.includes(option));
  if (lacking.length === 0) return [];
  if (mount.target === target) {
    const text = `${mount.type} without ${lacking.join(',')}`;
    const remedy = `Add ${lacking.join(',')} to the line of ${target} in /etc/fstab; until the next boot: mount -o remount,${lacking.join(',')} ${target}.`;
    return [{ target, text, remedy }];
  }
  const text = `not a mount point but part of ${mount.target}, without ${lacking.join(',')}`;
  return [
    {
      target,
      text,
      remedy: `Move ${target} to its own file system with the options ${list.join(',')} in /etc/fstab.`,
    },
  ];
}

/** Returns the missing options of the mounts below a target, which mount propagation may have created. */
function missingBelow({ mounts }: AssessedFacts, target: string, list: string[]): Missing[] {
  if (target === '/') return [];
  return mounts.all
    .filter(
      (mount) => mount.target.startsWith(`${target}/`) && isWritable(mount) && !mounts.hidden.has(mount),
    )
    .filter(({ options }) => list.some((option) => option !== 'ro' && !options.includes(option)))
    .map((mount) => {
      const lacking = list.filter((option) => option !== 'ro' && !mount.options.includes(option)).join(',');
      const remedy = `Run \`mount -o remount,bind,${lacking} ${mount.target}\`.`;
      return { target, text: `${mount.type} at ${mount.target} without ${lacking}`, remedy };
    });
}
