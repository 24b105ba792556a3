import { HostError } from '../errors.ts';
import type { Host } from '../host.ts';
import type { MountTable } from './mountinfo.ts';
import { mayHang, servingOrNothing } from './targets.ts';

/**
 * A host that touches nothing on a file system that may hang, mounted below "/": reads are synchronous, and what waits
 * for a dead server would keep the agent from answering at all. Each is an error at once.
 */
export function cautious(host: Host, mounts: MountTable): Host {
  const folders = mounts.all
    .filter((mount) => mount.target !== '/' && mayHang(mount))
    .map(({ target }) => target);
  if (folders.length === 0) return host;
  const refuse = (file: string) => {
    if (!folders.some((folder) => file.startsWith(folder))) return;
    const mount = servingOrNothing(mounts, file);
    if (mount === undefined || mount.target === '/' || !mayHang(mount)) return;
    throw new HostError(`${file}: not touched, since ${mount.type} at ${mount.target} may hang`);
  };
  return {
    ...host,
    read: (file, limit) => {
      refuse(file);
      return host.read(file, limit);
    },
    list: (folder) => {
      refuse(folder);
      return host.list(folder);
    },
    link: (file) => {
      refuse(file);
      return host.link(file);
    },
    stat: (file) => {
      refuse(file);
      return host.stat(file);
    },
  };
}
