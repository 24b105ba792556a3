import type { SystemReader } from '../../system/reader.ts';
import { type MountTable, isBelow } from './mountinfo.ts';
import { observe, unwrap } from '../observed.ts';

/** The initial namespaces: PROC_PID_INIT_INO and PROC_USER_INIT_INO (linux/proc_ns.h). */
const initialNamespaces = { pid: 'pid:[4026531836]', user: 'user:[4026531837]' };

/** The folders of procfs and sysfs that facts are read from. A mount on one of them shows other content. */
const readFolders = [
  ...[
    '/proc/self',
    '/proc/thread-self',
    '/proc/cmdline',
    '/proc/swaps',
    '/proc/filesystems',
    '/proc/sys/kernel',
  ],
  ...['/sys/block', '/sys/bus', '/sys/class', '/sys/dev', '/sys/devices', '/sys/fs/btrfs', '/sys/module'],
];

/**
 * The reasons why the agent's view is not that of the guest: another namespace, another root, or a mount over the
 * kernel's files. Such a mount may even be a procfs or sysfs (a bind mount of other files).
 * @throws HostError if no problem is found and the mounts of PID 1 cannot be read
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
  // Only root may read PID 1's mounts: that must not hide the problems found without them.
  if (problems.length > 0 && !('value' in first)) return problems;
  return [...problems, ...rootProblems(unwrap(first), mounts)];
}

function otherNamespaces(reader: SystemReader): string[] {
  return Object.entries(initialNamespaces)
    .filter(([name, initial]) => reader.link(`/proc/self/ns/${name}`) !== initial)
    .map(([name]) => `another ${name} namespace than the kernel's first`);
}

/** Other file systems on /proc and /sys. */
function coveredProblems(mounts: MountTable): string[] {
  return Object.entries({ '/proc': 'proc', '/sys': 'sysfs' }).flatMap(([folder, type]) => {
    const mount = mounts.serving(folder);
    if (mount?.type === type) return [];
    return [`${mount?.target === folder ? `${mount.type} is` : 'nothing is'} mounted on ${folder}`];
  });
}

function isReadFrom(target: string): boolean {
  if (!target.startsWith('/proc/') && !target.startsWith('/sys/')) return false;
  if (/^\/proc\/\d+(\/|$)/.test(target) || target === '/proc/sys') return true;
  return readFolders.some((folder) => isBelow(target, folder));
}

/**
 * A mount has a different number in each mount namespace. In most chroots "/" is a different mount; in the others, the
 * mount table has no mount at "/".
 */
function rootProblems(mountinfo: string, mounts: MountTable): string[] {
  const own = mounts.all.filter(({ target }) => target === '/').map(({ id }) => id);
  const first = [...mountinfo.matchAll(/^(\d+) \d+ \S+ \S+ \/ /gm)].map(([, id]) => Number(id));
  return own.join() === first.join() && own.length > 0
    ? []
    : ['another mount namespace or another root than those of PID 1'];
}
