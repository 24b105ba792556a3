import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { followLinks } from './follow-links.ts';
import { findHanging } from './hanging.ts';
import type { MountTable } from './mountinfo.ts';

/** SystemError.code of an access that hangSafe() prevented. */
export const mayHangCode = 'MAY_HANG';

/**
 * Returns a reader that does not access file systems that may hang, except for "/" itself. Reads are synchronous, so a
 * server that does not respond blocks the agent. A call whose path leads to such a file system, directly or through a
 * symbolic link, fails immediately. Lists every method of SystemReader explicitly, so that no new method bypasses the
 * check.
 * @throws SystemError MAY_HANG from each call that would access such a file system
 */
export function hangSafe(reader: SystemReader, mounts: MountTable): SystemReader {
  const hanging = findHanging(mounts);
  if (hanging.isEmpty) return reader;
  const checkAt = (file: string) => (reached: string) => {
    const mount = hanging.enteredAt(reached);
    if (mount === undefined) return;
    const by = reached === file || file.startsWith(`${reached}/`) ? '' : ' (reached through a symbolic link)';
    throw new SystemError(
      `${file}: not accessed, because ${mount.type} at ${mount.target} may hang${by}`,
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
  const followDirectory = (file: string) => followLinks(file, readLink, checkAt(file), 'keep the last');
  /** Wraps a method so that it first checks the path of the file. */
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
    readRecord: after(followDirectory, reader.readRecord),
    readAt: after(follow, reader.readAt),
    pieces: after(follow, reader.pieces),
    list: after(follow, reader.list),
    link: after(followDirectory, reader.link),
    resolve: after(follow, reader.resolve),
    stat: after(followDirectory, reader.stat),
    usage: after(follow, reader.usage),
    kernelLog: () => {
      follow('/dev/kmsg');
      return reader.kernelLog();
    },
    deviceTables: () => {
      follow('/dev/mapper/control');
      return reader.deviceTables();
    },
    // Files of procfs do not hang. The caller verifies the file system before it follows a link (statOf).
    processes: reader.processes,
    // These methods use child processes, which are abandoned on timeout.
    tryWrites: reader.tryWrites,
    probe: reader.probe,
    run: reader.run,
    environment: reader.environment,
    now: reader.now,
  };
}
