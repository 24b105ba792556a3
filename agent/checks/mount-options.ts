import { shortList } from '../lib/format.ts';
import type { AssessedFacts } from '../assess/assess.ts';
import { type TargetOptions, addedOptions } from '../facts/mounts/targets.ts';
import type { Check } from './check.ts';

/** Verifies that every path in MOUNT_OPTIONS has the mount options that a sealed boot adds. */
export const mountOptions: Check = {
  id: 'mount-options',
  severity: 'required',
  seal: true,
  messageId: '4f4b72572383495599fbd31070c5dd69',
  documentation: {
    title: 'each path in MOUNT_OPTIONS has its mount options',
    means:
      'According to the mount table, each path in MOUNT_OPTIONS is served by a mount with the options named there: by default /dev/shm, /var/tmp and /var/log with noexec, nosuid and nodev; for /run/user/*, the directory of each user who is logged in. A path that does not exist is skipped.',
    why: 'Everything legitimate runs from the sealed disk. A directory that is writable and permits programs lets an attacker run a program that was not on the disk when it was sealed.',
    fix: 'Read the messages of make-mounts in the journal: `journalctl -b | grep make-mounts`. Until the next boot: `mount -o remount,bind,noexec,nosuid,nodev PATH`. If a line in /etc/fstab or another unit mounts the path, add the options there. If a program must run from a path, take the path out of MOUNT_OPTIONS while the disk is writable.',
    page: 'writable-paths.md',
  },
  evaluate: (facts) => {
    const wanted = addedOptions(facts.config).flatMap((each) => existing(facts, each));
    if (wanted.length === 0) {
      const observed = 'MOUNT_OPTIONS names no path that exists';
      return { status: 'skip', observed };
    }
    const subject = wanted.map(({ target }) => target).join(' ');
    const expected = [...new Set(wanted.flatMap(({ list }) => list))].join(',');
    const lacking = wanted
      .map(({ target, list }) => ({ target, list: missingOptions(facts, target, list) }))
      .filter(({ list }) => list.length > 0);
    if (lacking.length === 0) return { status: 'pass', subject, expected, observed: expected };
    const observed = shortList(
      lacking.map(({ target, list }) => `${target} without ${list.join(',')}`),
      '; ',
    );
    const remedy = shortList(lacking.map((each) => remedyFor(facts, each)));
    return { status: 'fail', subject, expected, observed, remedy };
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

function missingOptions({ mounts }: AssessedFacts, target: string, list: string[]): string[] {
  const mount = mounts.serving(target);
  if (mount === undefined) throw new Error(`no mount serves ${target}`);
  return list.filter((option) => !mount.options.includes(option));
}

function remedyFor({ mounts }: AssessedFacts, { target, list }: TargetOptions): string {
  const isMount = mounts.serving(target)?.target === target;
  const bind = isMount ? '' : `mount --bind ${target} ${target} && `;
  return `Until the next boot: ${bind}mount -o remount,bind,${list.join(',')} ${target}; then find out why immutafs-mount-options did not set them.`;
}
