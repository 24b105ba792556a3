import { shortList } from '../lib/format.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { requiredOptions } from '../facts/mounts/targets.ts';
import type { Check, Outcome } from './check.ts';

/** REQUIRE_OPTIONS of /home: nothing can be run, be set-uid or be a device where people can write. */
export const homeOptions: Check = {
  id: 'home-options',
  severity: 'required',
  seal: false,
  messageId: '1bb60bd7f0da45d5b054b738622428eb',
  documentation: {
    title: '/home has the mount options that REQUIRE_OPTIONS asks for',
    means:
      'The mount that serves /home has each of them, by default noexec, nosuid and nodev, and so has every mount below it that can be written to.',
    why: "People write to /home. With these options nothing there can be run, give another user's rights or be a device.",
    fix: 'Add what is missing to the options of /home in /etc/fstab; `mount -o remount,noexec,nosuid,nodev /home` for now. If /home is a part of /, give it a file system of its own, or a tmpfs.',
  },
  evaluate: (facts) => options(facts, (target) => target === '/home', 'REQUIRE_OPTIONS does not name /home'),
};

/** REQUIRE_OPTIONS of /tmp. */
export const tmpOptions: Check = {
  id: 'tmp-options',
  severity: 'required',
  seal: false,
  messageId: '8f2ffb30eaa149d5be3f736de58f6791',
  documentation: {
    title: '/tmp has the mount options that REQUIRE_OPTIONS asks for',
    means:
      'The mount that serves /tmp has each of them, by default noexec, nosuid and nodev, and so has every mount below it that can be written to.',
    why: 'Everybody may write to /tmp: it is where what an attacker brings along is unpacked first.',
    fix: 'Add what is missing to the options of /tmp in /etc/fstab or in tmp.mount; `mount -o remount,noexec,nosuid,nodev /tmp` for now. If /tmp is a part of /, make it a tmpfs: `systemctl enable tmp.mount`.',
  },
  evaluate: (facts) => options(facts, (target) => target === '/tmp', 'REQUIRE_OPTIONS does not name /tmp'),
};

/** REQUIRE_OPTIONS of everything else that it names. */
export const otherOptions: Check = {
  id: 'other-options',
  severity: 'required',
  seal: false,
  messageId: '0f4e50f79a3343bca7f738dee3d53814',
  documentation: {
    title: 'everything else in REQUIRE_OPTIONS has its mount options',
    means:
      'The mount that serves each path in REQUIRE_OPTIONS but /home and /tmp has the options named there. A path that is not there is not asked for.',
    why: 'They were asked for in /etc/immutafs/immutafs.conf.',
    fix: 'Add what is missing to the options of the path in /etc/fstab and remount it.',
  },
  evaluate: (facts) =>
    options(facts, (target) => target !== '/home' && target !== '/tmp', 'REQUIRE_OPTIONS names nothing else'),
};

function options(facts: AssessedFacts, wanted: (target: string) => boolean, nothing: string): Outcome {
  const required = requiredOptions(facts.config).filter(({ target }) => wanted(target));
  const there = required.filter(({ target }) => facts.present.includes(target));
  if (there.length === 0) {
    const observed =
      required.length === 0 ? nothing : `${required.map(({ target }) => target).join(' ')} is not there`;
    return { status: 'skip', subject: '', expected: '', observed, remedy: '' };
  }
  const subject = there.map(({ target }) => target).join(' ');
  const expected = [...new Set(there.flatMap(({ list }) => list))].join(',');
  const wrong = there.flatMap(({ target, list }) => missing(facts, target, list));
  if (wrong.length === 0) return { status: 'pass', subject, expected, observed: expected, remedy: '' };
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
    const remedy = `Add ${lacking.join(',')} to ${target}'s options in /etc/fstab; now: mount -o remount,${lacking.join(',')} ${target}.`;
    return [{ target, text, remedy }];
  }
  const text = `no mount of its own but part of ${mount.target}, without ${lacking.join(',')}`;
  return [
    { target, text, remedy: `Give ${target} a file system of its own with ${list.join(',')} in /etc/fstab.` },
  ];
}

/** What is mounted below, perhaps by propagation only, is a part of it to everybody who writes there. */
function missingBelow({ mounts }: AssessedFacts, target: string, list: string[]): Missing[] {
  if (target === '/') return [];
  return mounts.all
    .filter(
      (mount) => mount.target.startsWith(`${target}/`) && isWritable(mount) && !mounts.hidden.has(mount),
    )
    .filter(({ options }) => list.some((option) => option !== 'ro' && !options.includes(option)))
    .map((mount) => {
      const lacking = list.filter((option) => option !== 'ro' && !mount.options.includes(option)).join(',');
      const remedy = `mount -o remount,bind,${lacking} ${mount.target}.`;
      return { target, text: `${mount.type} at ${mount.target} without ${lacking}`, remedy };
    });
}

function isWritable({ options, superOptions }: Mount): boolean {
  return options.includes('rw') && !superOptions.includes('ro');
}
