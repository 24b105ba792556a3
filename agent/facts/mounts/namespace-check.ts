import type { SystemReader } from '../../system/reader.ts';
import { type MountTable, isBelow } from './mountinfo.ts';
import { observe, unwrap } from '../observed.ts';

/** PROC_PID_INIT_INO and PROC_USER_INIT_INO (linux/proc_ns.h): what the kernel itself began with. */
const initialNamespaces = { pid: 'pid:[4026531836]', user: 'user:[4026531837]' };

/** What stands in /proc/self, and what else is read there; a mount on one of them shows something else. */
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
 * Why what is seen here is not what the guest is: another namespace, another root, or something mounted over
 * the kernel's files. A file system may hold the kernel's files and still not these (a bind mount).
 * @throws HostError where nothing is wrong so far and PID 1's mounts cannot be read
 */
export function viewProblems(reader: SystemReader, mounts: MountTable): string[] {
  const problems = [
    ...namespaceProblems(reader),
    ...coveredProblems(mounts),
    ...mounts.all
      .filter(({ target }) => isReadFrom(target))
      .map(({ target, type }) => `${type} is mounted over ${target}`),
  ];
  const first = observe(() => reader.read('/proc/1/mountinfo', 64 * 1024 * 1024));
  // That only root may read it must not hide what is known without it.
  if (problems.length > 0 && !('value' in first)) return problems;
  return [...problems, ...rootProblems(unwrap(first), mounts)];
}

function namespaceProblems(reader: SystemReader): string[] {
  return Object.entries(initialNamespaces)
    .filter(([name, initial]) => reader.link(`/proc/self/ns/${name}`) !== initial)
    .map(([name]) => `another ${name} namespace than the kernel's first`);
}

/** Another file system in the place of one of the kernel's. */
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
 * A mount has another number in each mount namespace, and "/" is another mount in most chroots; in the others,
 * none at all is seen at "/".
 */
function rootProblems(mountinfo: string, mounts: MountTable): string[] {
  const own = mounts.all.filter(({ target }) => target === '/').map(({ id }) => id);
  const first = [...mountinfo.matchAll(/^(\d+) \d+ \S+ \S+ \/ /gm)].map(([, id]) => Number(id));
  return own.join() === first.join() && own.length > 0
    ? []
    : ['another mount namespace or another root than those of PID 1'];
}
