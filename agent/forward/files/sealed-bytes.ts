import path from 'node:path';
import { bootEnvFile, parseBootEnv } from '../../facts/boot/boot-env.ts';
import { layersTmpfs } from '../../facts/boot/layer-paths.ts';
import { layersOf } from '../../facts/boot/overlays.ts';
import { optionOf, readMountTable } from '../../facts/mounts/mountinfo.ts';
import { unlessSystemError } from '../../lib/errors.ts';
import { type LogFile, openLogFile, statLogFile } from '../../system/log-file.ts';
import type { SystemReader } from '../../system/reader.ts';
import { hasContent, hashesOf, sampleOf } from './content.ts';
import { type Generation, rotatedFiles } from './generations.ts';

/**
 * Returns how much of a log, or of a rotated file of it, is in the log on the sealed disk. Earlier boots wrote it, and it
 * is not lost at a reboot.
 * @returns the number of bytes; 0 if it is not known that the file begins with the content on the disk
 */
export function sealedBytes(reader: SystemReader, log: string, file = log): number {
  const lower = lowerOf(reader, log);
  if (lower === undefined) return 0;
  const compare = (opened: LogFile) => whileOpen(openLogFile(lower), (sealed) => commonBytes(opened, sealed));
  return unlessSystemError(() => whileOpen(openLogFile(file), compare)) ?? 0;
}

/**
 * Returns whether this boot wrote to a file of a log. No change of the clock affects the answer.
 * @returns undefined if the file may be older than this boot, because its file system is not new at every boot
 */
export function isOfThisBoot(reader: SystemReader, log: string, file: Generation): boolean | undefined {
  return unlessSystemError(() => {
    const target = `${reader.resolve(path.dirname(log))}/${path.basename(log)}`;
    const mount = readMountTable(reader).serving(target);
    if (mount?.type === 'tmpfs') return true;
    const lower = lowerOf(reader, target);
    if (lower === undefined || mount?.type !== 'overlay') return undefined;
    if (optionOf(mount, 'upperdir')?.startsWith(`${layersTmpfs}/`) !== true) return undefined;
    const sealed = [...itself(lower), ...rotatedFiles(lower)];
    return !sealed.some((each) => unlessSystemError(() => isUnchanged(file, each)) === true);
  });
}

function itself(file: string): Generation[] {
  const stat = statLogFile(file);
  return stat === undefined ? [] : [{ file, ...stat }];
}

/** Whether a file is the same as one on the sealed disk. A copy-up and a renaming keep its mtime (overlayfs.rst). */
function isUnchanged(file: Generation, sealed: Generation): boolean {
  if (file.bytes !== sealed.bytes || file.modified !== sealed.modified) return false;
  const compare = (opened: LogFile) =>
    whileOpen(openLogFile(sealed.file), (other) => commonBytes(opened, other) === file.bytes);
  return whileOpen(openLogFile(file.file), compare);
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
