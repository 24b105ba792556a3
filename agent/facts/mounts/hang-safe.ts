import { HostError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { followLinks } from './follow-links.ts';
import { findHanging } from './hanging.ts';
import type { MountTable } from './mountinfo.ts';

/** HostError.code of an access that was not made. */
export const mayHangCode = 'MAY_HANG';

/**
 * A reader that accesses no file system that may hang and is mounted below "/". Reads are synchronous, so that a dead
 * server would block the agent. Such an access is an error at once, also through a symbolic link. Every method of
 * SystemReader is listed, so that a new method is not passed on unchecked.
 * @throws HostError MAY_HANG from each call that would access such a file system
 */
export function hangSafe(reader: SystemReader, mounts: MountTable): SystemReader {
  const hanging = findHanging(mounts);
  if (hanging.isEmpty) return reader;
  const checkAt = (file: string) => (reached: string) => {
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
      targets.set(file, reader.stat(file)?.kind === 'link' ? reader.link(file) : undefined);
    }
    return targets.get(file);
  };
  const follow = (file: string) => followLinks(file, readLink, checkAt(file), 'follow the last');
  const followFolder = (file: string) => followLinks(file, readLink, checkAt(file), 'keep the last');
  /** Makes a call on a file after a check of the path to it. */
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
    read: after(follow, reader.read),
    readIfPresent: after(follow, reader.readIfPresent),
    readRecord: after(followFolder, reader.readRecord),
    readAt: after(follow, reader.readAt),
    pieces: after(follow, reader.pieces),
    list: after(follow, reader.list),
    link: after(followFolder, reader.link),
    resolve: after(follow, reader.resolve),
    stat: after(followFolder, reader.stat),
    usage: after(follow, reader.usage),
    kernelLog: () => {
      follow('/dev/kmsg');
      return reader.kernelLog();
    },
    // These run in child processes, which are abandoned at their deadline.
    tryWrites: reader.tryWrites,
    probe: reader.probe,
    run: reader.run,
    environment: reader.environment,
    now: reader.now,
  };
}
