import type { SystemReader } from '../../system/reader.ts';
import { type MountTable, isBelow } from './mountinfo.ts';
import { observe, unwrap } from '../observed.ts';

/** The initial PID and user namespaces: PROC_PID_INIT_INO and PROC_USER_INIT_INO (linux/proc_ns.h). */
const initialNamespaces = { pid: 'pid:[4026531836]', user: 'user:[4026531837]' };

/** The files and directories of procfs and sysfs that the agent reads. A mount over one of them replaces its content. */
const readDirectories = [
  ...['/proc/self', '/proc/thread-self', '/proc/cmdline', '/proc/swaps', '/proc/filesystems'],
  ...['/proc/sys/kernel', '/sys/block', '/sys/bus', '/sys/class', '/sys/dev', '/sys/devices'],
  '/sys/module',
];

/**
 * Returns the reasons why the agent does not see the same system as PID 1: a different namespace, a different root
 * directory, or a mount over files of procfs or sysfs. Such a mount may itself be a procfs or sysfs, namely a bind
 * mount of other files.
 * @throws SystemError if no problem is found and the mounts of PID 1 cannot be read
 */
export function findNamespaceProblems(reader: SystemReader, mounts: MountTable): string[] {
  const problems = [
    ...otherNamespaces(reader),
    ...coveredProblems(mounts),
    ...mounts.all
      .filter(({ target }) => isReadFrom(target))
      .map(({ target, type }) => `${type} is mounted over ${target}`),
  ];
  const first = observe(() => reader.read('/proc/1/mountinfo', 64 * 1024 * 1024));
  // Only root may read the mounts of PID 1. For other users, report the problems that were found without them.
  if (problems.length > 0 && !('value' in first)) return problems;
  return [...problems, ...rootProblems(unwrap(first), mounts)];
}

/** Whether this process is in the initial PID namespace, and not in a container. @throws SystemError */
export function isInitialPidNamespace(reader: SystemReader): boolean {
  return reader.link('/proc/self/ns/pid') === initialNamespaces.pid;
}

function otherNamespaces(reader: SystemReader): string[] {
  return Object.entries(initialNamespaces)
    .filter(([name, initial]) => reader.link(`/proc/self/ns/${name}`) !== initial)
    .map(([name]) => `not in the initial ${name} namespace`);
}

/** Returns a problem for each of /proc and /sys on which no procfs or sysfs is mounted. */
function coveredProblems(mounts: MountTable): string[] {
  return Object.entries({ '/proc': 'proc', '/sys': 'sysfs' }).flatMap(([directory, type]) => {
    const mount = mounts.serving(directory);
    if (mount?.type === type) return [];
    return [`${mount?.target === directory ? `${mount.type} is` : 'nothing is'} mounted on ${directory}`];
  });
}

function isReadFrom(target: string): boolean {
  if (!target.startsWith('/proc/') && !target.startsWith('/sys/')) return false;
  if (/^\/proc\/\d+(\/|$)/.test(target) || target === '/proc/sys') return true;
  return readDirectories.some((directory) => isBelow(target, directory));
}

/**
 * Compares the ids of the mounts at "/" with those of PID 1. A mount has a different id in each mount namespace. In
 * most chroots, "/" is a different mount; in the other chroots, the mount table has no mount at "/".
 */
function rootProblems(mountinfo: string, mounts: MountTable): string[] {
  const own = mounts.all.filter(({ target }) => target === '/').map(({ id }) => id);
  const first = [...mountinfo.matchAll(/^(\d+) \d+ \S+ \S+ \/ /gm)].map(([, id]) => Number(id));
  return own.join() === first.join() && own.length > 0
    ? []
    : ['another mount namespace or another root than those of PID 1'];
}
