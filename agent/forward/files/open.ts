import { type Config, words } from '../../config/config.ts';
import { parseBootEnv, bootEnvFile } from '../../facts/boot/boot-env.ts';
import { layersOf } from '../../facts/boot/layers.ts';
import { auditLogFile } from '../../facts/security/audit-trail.ts';
import { SystemError } from '../../lib/errors.ts';
import { type LogFile, openLogFile } from '../../system/log-file.ts';
import type { SystemReader } from '../../system/reader.ts';
import { LogFiles } from './log-files.ts';
import type { FileRecord } from './records.ts';
import { beforeBytes, headBytes } from './content.ts';

/**
 * Opens the log files of FORWARD_FILES.
 * @param records what the checkpoint says about them
 * @param trusted whether this boot wrote the checkpoint
 */
export function openLogFiles(
  reader: SystemReader,
  config: Pick<Config, 'FORWARD_FILES'>,
  records: readonly FileRecord[],
  trusted: boolean,
  trouble: (reason: string) => void,
): LogFiles {
  return new LogFiles({
    patterns: words(config.FORWARD_FILES),
    records,
    auditFile: auditLogFile(reader),
    trusted,
    firstOffset: (file) => sealedBytes(file, lowerOf(reader, file)),
    booted: reader.now().getTime() - reader.environment().seconds * 1000,
    trouble,
  });
}

/** Returns the name that a file of an overlay has on the sealed disk; undefined if it is not on an overlay of ours. */
function lowerOf(reader: SystemReader, file: string): string | undefined {
  const text = reader.readIfPresent(bootEnvFile);
  if (text === undefined) return undefined;
  const layers = layersOf(parseBootEnv(text)).filter(
    ({ target, state }) => state === 'overlay' && file.startsWith(`${target}/`),
  );
  const layer = layers.sort((a, b) => b.target.length - a.target.length)[0];
  return layer === undefined ? undefined : `${layer.lower}${file.slice(layer.target.length)}`;
}

/**
 * Returns how much of a log is on the sealed disk. Earlier boots wrote it, and it is not lost at a reboot.
 * @returns the number of bytes; 0 if it is not known that the log begins with the content on the disk
 */
function sealedBytes(file: string, lower: string | undefined): number {
  if (lower === undefined) return 0;
  const opened: LogFile[] = [];
  try {
    for (const each of [file, lower]) opened.push(openLogFile(each));
    const [log, sealed] = opened;
    if (log === undefined || sealed === undefined) return 0;
    const { bytes } = sealed.stat();
    const from = Math.max(0, bytes - beforeBytes);
    const same = (offset: number, length: number) => sameBytes(log, sealed, offset, length);
    return log.stat().bytes >= bytes && same(0, Math.min(bytes, headBytes)) && same(from, bytes - from)
      ? bytes
      : 0;
  } catch (error) {
    if (error instanceof SystemError) return 0;
    throw error;
  } finally {
    for (const each of opened) each.close();
  }
}

function sameBytes(one: LogFile, other: LogFile, offset: number, length: number): boolean {
  const buffers = [one, other].map((file) => {
    const buffer = Buffer.alloc(length);
    return buffer.subarray(0, length === 0 ? 0 : file.read(buffer, offset));
  });
  const [a, b] = buffers;
  return a !== undefined && b !== undefined && a.length === length && a.equals(b);
}
