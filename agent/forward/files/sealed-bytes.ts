import { bootEnvFile, parseBootEnv } from '../../facts/boot/boot-env.ts';
import { layersOf } from '../../facts/boot/overlays.ts';
import { unlessSystemError } from '../../lib/errors.ts';
import { type LogFile, openLogFile } from '../../system/log-file.ts';
import type { SystemReader } from '../../system/reader.ts';
import { hasContent, hashesOf, sampleOf } from './content.ts';

/**
 * Returns how much of a log is on the sealed disk. Earlier boots wrote it, and it is not lost at a reboot.
 * @returns the number of bytes; 0 if it is not known that the log begins with the content on the disk
 */
export function sealedBytes(reader: SystemReader, file: string): number {
  const lower = lowerOf(reader, file);
  if (lower === undefined) return 0;
  const compare = (log: LogFile) => whileOpen(openLogFile(lower), (sealed) => commonBytes(log, sealed));
  return unlessSystemError(() => whileOpen(openLogFile(file), compare)) ?? 0;
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

/** Returns the size of the sealed file if the log begins with its content, else 0. */
function commonBytes(log: LogFile, sealed: LogFile): number {
  const { bytes } = sealed.stat();
  return hasContent(log, { offset: bytes, ...hashesOf(sampleOf(sealed, bytes)) }) ? bytes : 0;
}

function whileOpen<T>(file: LogFile, action: (file: LogFile) => T): T {
  try {
    return action(file);
  } finally {
    file.close();
  }
}
