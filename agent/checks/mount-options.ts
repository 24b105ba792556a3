import type { AssessedFacts } from '../assess/assess.ts';
import type { FstabEntry } from '../facts/mounts/fstab.ts';
import { valueOf } from '../facts/observed.ts';
import { type Mount, isWritable, servingMount } from '../facts/mounts/mountinfo.ts';
import {
  type TargetLink,
  type TargetOptions,
  addedOptions,
  requiredOptions,
} from '../facts/mounts/targets.ts';
import { shortList } from '../lib/format.ts';
import type { Check, Outcome } from './check.ts';

export const homeOptions: Check = {
  id: 'home-options',
  messageId: '1bb60bd7f0da45d5b054b738622428eb',
  evaluate: (facts) =>
    evaluateOptions(facts, (target) => target === '/home', 'REQUIRE_OPTIONS does not name /home'),
};

export const tmpOptions: Check = {
  id: 'tmp-options',
  messageId: '8f2ffb30eaa149d5be3f736de58f6791',
  evaluate: (facts) =>
    evaluateOptions(facts, (target) => target === '/tmp', 'REQUIRE_OPTIONS does not name /tmp'),
};

export const otherOptions: Check = {
  id: 'other-options',
  messageId: '0f4e50f79a3343bca7f738dee3d53814',
  evaluate: (facts) =>
    evaluateOptions(
      facts,
      (target) => !['/home', '/tmp'].includes(target),
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

/** Describes a symbolic link. The options of the mount that contains it do not apply to the directory that it leads to. */
function describeLink({ link, to }: TargetLink, key: string): Omit<Missing, 'target'> {
  const real = to === '' ? 'the directory that it points to' : to;
  return {
    text: to === '' ? `${link} is a symbolic link` : `${link} is a symbolic link (${to})`,
    remedy: `In ${key}, name ${real}.`,
  };
}

function missing(facts: AssessedFacts, target: string, list: string[]): Missing[] {
  const link = facts.links.get(target);
  if (link !== undefined) return [{ target, ...describeLink(link, 'REQUIRE_OPTIONS') }];
  const mount = servingMount(facts.mounts, target);
  return [...missingAt(facts, mount, target, list), ...missingBelow(facts, target, list)];
}

function missingAt(facts: AssessedFacts, mount: Mount, target: string, list: string[]): Missing[] {
  const lacking = list.filter((option) => !mount.options.includes(option)).join(',');
  if (lacking === '') return [];
  if (mount.target === target) {
    const remedy = `Add ${lacking} to the line of ${target} in /etc/fstab; until the next boot: mount -o remount,${lacking} ${target}.`;
    return [{ target, text: `${mount.type} without ${lacking}`, remedy }];
  }
  const text = `not a mount point but part of ${mount.target}, without ${lacking}`;
  const entry = mountedAtBoot(facts, target);
  if (entry !== undefined) {
    const { line, source } = entry;
    const state = entry.missing ? 'does not exist' : 'is not mounted';
    const wait = 'x-systemd.device-timeout= in the line limits how long the boot waits for it';
    return [
      {
        target,
        text: `${text}: ${source}, which line ${line} of /etc/fstab mounts there, ${state}`,
        remedy: `Attach the disk with ${source}, and mount it with \`mount ${target}\`, or reboot; ${wait}.`,
      },
    ];
  }
  const remedy = `Move ${target} to its own file system with the options ${list.join(',')} in /etc/fstab.`;
  return [{ target, text, remedy }];
}

/** Returns the line of fstab that mounts a file system at a target at boot. */
function mountedAtBoot({ fstabEntries }: AssessedFacts, target: string): FstabEntry | undefined {
  return valueOf(fstabEntries)?.find((each) => each.target === target && !each.options.includes('noauto'));
}

/** Returns the missing options of the mounts below a target, which mount propagation may have created. */
function missingBelow({ mounts }: AssessedFacts, target: string, list: string[]): Missing[] {
  if (target === '/') return [];
  const below = mounts.all.filter(
    (mount) => mount.target.startsWith(`${target}/`) && isWritable(mount) && !mounts.hidden.has(mount),
  );
  return below.flatMap(({ type, target: at, options }) => {
    const lacking = list.filter((option) => option !== 'ro' && !options.includes(option)).join(',');
    if (lacking === '') return [];
    const remedy = `Run \`mount -o remount,bind,${lacking} ${at}\`.`;
    return [{ target, text: `${type} at ${at} without ${lacking}`, remedy }];
  });
}

export const mountOptions: Check = {
  id: 'mount-options',
  seal: true,
  messageId: '4f4b72572383495599fbd31070c5dd69',
  evaluate: (facts) => {
    const wanted = addedOptions(facts.config).flatMap((each) => existing(facts, each));
    if (wanted.length === 0) {
      return { status: 'skip', observed: 'MOUNT_OPTIONS names no path that exists' };
    }
    const subject = wanted.map(({ target }) => target).join(' ');
    const expected = [...new Set(wanted.flatMap(({ list }) => list))].join(',');
    const wrong = wanted.flatMap((each) => missingAdded(facts, each));
    if (wrong.length === 0) return { status: 'pass', subject, expected, observed: expected };
    const observed = shortList(
      wrong.map(({ text }) => text),
      '; ',
    );
    return {
      status: 'fail',
      subject,
      expected,
      observed,
      remedy: shortList(wrong.map((each) => each.remedy)),
    };
  },
};

/** Replaces /run/user/* by the directories of the users who are logged in, and leaves out a target that does not exist. */
function existing({ mounts, present }: AssessedFacts, { target, list }: TargetOptions): TargetOptions[] {
  if (target !== '/run/user/*') return present.includes(target) ? [{ target, list }] : [];
  const users = new Set(
    [...present, ...mounts.all.map((mount) => mount.target)].filter((each) =>
      /^\/run\/user\/[^/]+$/.test(each),
    ),
  );
  return [...users].map((user) => ({ target: user, list }));
}

function missingAdded(facts: AssessedFacts, { target, list }: TargetOptions): Omit<Missing, 'target'>[] {
  const link = facts.links.get(target);
  if (link !== undefined) return [describeLink(link, 'MOUNT_OPTIONS')];
  const { options } = servingMount(facts.mounts, target);
  const lacking = list.filter((option) => !options.includes(option));
  if (lacking.length === 0) return [];
  return [
    {
      text: `${target} without ${lacking.join(',')}`,
      remedy: remountRemedyFor(facts, { target, list: lacking }),
    },
  ];
}

function remountRemedyFor({ mounts }: AssessedFacts, { target, list }: TargetOptions): string {
  const isMount = mounts.serving(target)?.target === target;
  const bind = isMount ? '' : `mount --bind ${target} ${target} && `;
  return `Until the next boot: ${bind}mount -o remount,bind,${list.join(',')} ${target}; then find out why immutafs-mount-options did not set them.`;
}

const tried = {};

export const execProbe: Check = {
  id: 'exec-probe',
  messageId: 'efb5da9ab1b44c1691597a85e7f6359a',
  ...tried,
  evaluate: (facts) =>
    evaluateTrial(facts, {
      option: 'noexec',
      kind: 'exec',
      expected: 'EACCES',
      good: { EACCES: 'EACCES' },
      bad: { RAN: 'the program ran' },
    }),
};

export const suidProbe: Check = {
  id: 'suid-probe',
  messageId: 'eb300224a4bc4b4780fdecdd5fa909cc',
  ...tried,
  evaluate: (facts) =>
    evaluateTrial(facts, {
      option: 'nosuid',
      kind: 'suid',
      expected: 'no privileges gained',
      good: { IGNORED: 'the set-uid bit has no effect', EACCES: 'the program did not run (noexec)' },
      bad: { HONOURED: 'the set-uid program ran as root' },
    }),
};

export const deviceProbe: Check = {
  id: 'device-probe',
  messageId: '66b7d62558c14fb187d098761da54102',
  ...tried,
  evaluate: (facts) =>
    evaluateTrial(facts, {
      option: 'nodev',
      kind: 'device',
      expected: 'EACCES',
      good: { EACCES: 'EACCES' },
      bad: { OPENED: 'the device was opened' },
    }),
};

interface Trial {
  option: string;
  kind: 'exec' | 'suid' | 'device';
  expected: string;
  good: Record<string, string>;
  bad: Record<string, string>;
}

function evaluateTrial(facts: AssessedFacts, { option, kind, expected, good, bad }: Trial): Outcome {
  const skip = (observed: string): Outcome => ({ status: 'skip', expected, observed });
  const answers = facts.optionProbes;
  if (answers === undefined) return skip('not tried without --probe');
  const targets = requiredOptions(facts.config)
    .filter(({ target, list }) => list.includes(option) && facts.present.includes(target))
    .map(({ target }) => ({ target, answer: answers[target]?.[kind] ?? 'no answer' }));
  if (targets.length === 0) return skip(`REQUIRE_OPTIONS requires ${option} for no existing path`);
  const wrong = targets.filter(({ answer }) => Object.hasOwn(bad, answer));
  if (wrong.length > 0) {
    const subject = wrong.map(({ target }) => target).join(' ');
    const observed = [...new Set(wrong.map(({ answer }) => bad[answer] ?? ''))].join('; ');
    const remedy = `Mount ${subject} with ${option}.`;
    return { status: 'fail', subject, expected, observed, remedy };
  }
  const unclear = targets.find(({ answer }) => !Object.hasOwn(good, answer));
  if (unclear !== undefined) {
    if (!facts.identity.root && unclear.answer === 'EPERM') return skip('not tried: needs root');
    throw new Error(`${unclear.target}: ${unclearAnswers[unclear.answer] ?? unclear.answer}`);
  }
  const subject = targets.map(({ target }) => target).join(' ');
  const observed = [...new Set(targets.map(({ answer }) => good[answer] ?? ''))].join('; ');
  return { status: 'pass', subject, expected, observed };
}

const unclearAnswers: Record<string, string> = {
  TIMEOUT: 'no answer in time, the file system hangs',
  NO_NEW_PRIVS: 'not testable: the agent runs with no_new_privs',
  EPERM: 'not permitted',
  EROFS: 'no file can be created: the file system is read-only',
};
