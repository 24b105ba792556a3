import { parseMountinfo } from '../../agent/facts/mounts/mountinfo.ts';
import { systemReader } from '../../agent/system/reader.ts';

/** Returns the reader of a root directory. @param log lines of the kernel log */
export const hostAt = (root: string, log: readonly string[] = []) => ({
  ...systemReader({ root }),
  kernelLog: () => [...log],
});
export const mounts = (...lines: string[]) =>
  parseMountinfo(lines.map((line, index) => `${index + 1} 0 ${line}\n`).join(''));
export const mount = (device: string, target: string, type = 'xfs', source = '/dev/x') =>
  `${device} / ${target} ro - ${type} ${source} rw`;
