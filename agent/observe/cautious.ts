import { HostError } from '../errors.ts';
import type { Host } from '../host.ts';
import { followLinks } from './follow-links.ts';
import { findHanging } from './hanging.ts';
import type { MountTable } from './mountinfo.ts';

/** HostError.code of what is not touched. */
export const mayHangCode = 'MAY_HANG';

/**
 * A host that touches nothing on a file system that may hang, mounted below "/": reads are synchronous, and what waits
 * for a dead server would keep the agent from answering at all. Each is an error at once, also where a symbolic link
 * leads to such a file system. Every method of Host is listed, so that a new one is not passed on by accident.
 * @throws HostError MAY_HANG from each call that would touch one
 */
export function cautious(host: Host, mounts: MountTable): Host {
  const hanging = findHanging(mounts);
  if (hanging.isEmpty) return host;
  const refuseAt = (file: string) => (reached: string) => {
    const mount = hanging.enteredAt(reached);
    if (mount === undefined) return;
    const by = reached === file || file.startsWith(`${reached}/`) ? '' : `a symbolic link leads there, and `;
    throw new HostError(
      `${file}: not touched, since ${by}${mount.type} at ${mount.target} may hang`,
      mayHangCode,
    );
  };
  const targets = new Map<string, string | undefined>();
  const readLink = (file: string) => {
    if (!targets.has(file)) {
      targets.set(file, host.stat(file)?.kind === 'link' ? host.link(file) : undefined);
    }
    return targets.get(file);
  };
  const follow = (file: string) => followLinks(file, readLink, refuseAt(file), 'follow the last');
  const followFolder = (file: string) => followLinks(file, readLink, refuseAt(file), 'keep the last');
  /** Runs a call on a file once nothing on the way to it may hang. */
  const after = <Rest extends unknown[], Result>(
    check: (file: string) => void,
    call: (file: string, ...rest: Rest) => Result,
  ) => {
    return (file: string, ...rest: Rest): Result => {
      check(file);
      return call(file, ...rest);
    };
  };
  return {
    read: after(follow, host.read),
    readRecord: after(followFolder, host.readRecord),
    readAt: after(follow, host.readAt),
    pieces: after(follow, host.pieces),
    list: after(follow, host.list),
    link: after(followFolder, host.link),
    resolve: after(follow, host.resolve),
    stat: after(followFolder, host.stat),
    usage: after(follow, host.usage),
    kernelLog: () => {
      follow('/dev/kmsg');
      return host.kernelLog();
    },
    // In child processes, which are left behind at their deadline.
    tryWrites: host.tryWrites,
    probe: host.probe,
    run: host.run,
    writeAtomically: after(followFolder, host.writeAtomically),
    makeFolder: after(follow, host.makeFolder),
    environment: host.environment,
    now: host.now,
  };
}
