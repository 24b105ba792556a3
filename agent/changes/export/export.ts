import { SystemError, UsageError, errorMessage } from '../../lib/errors.ts';
import { decodeBytes, formatBytes } from '../../lib/format.ts';
import { toJson } from '../../lib/unprintable.ts';
import { readIdentity } from '../../facts/identity.ts';
import { createExportFile, standardOutput } from '../../system/layers/export-file.ts';
import { exportJournal } from '../../system/journalctl.ts';
import { type TarWriter, memberOverhead, tarWriter } from '../../system/layers/tar-writer.ts';
import { xattrReader } from '../../system/layers/xattrs.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Report, type Selection, isUnknown } from '../change.ts';
import type { Comparison } from '../changes.ts';
import { ignoredByDefault, ignores } from '../category.ts';
import { jsonLine, unknownObject } from '../json.ts';
import { type FileExporter, type Part, fileExporter, partsWriter } from './files.ts';
import { writeProcesses } from './processes.ts';

/**
 * Writes the evidence of this boot to a tar file: what is in RAM and would be lost at a reboot. First what changes most,
 * the processes and mounts; then the changed files, except logs and caches; the journal; and logs and caches at last, so
 * that they are what is left out if the size is limited.
 * @param warn receives what is not in the export
 * @param file a path, or - for the standard output
 * @param maxSize a number with K, M, G or T
 * @param terminal whether the standard output is a terminal
 * @returns whether the export is complete
 * @throws SystemError if the file cannot be written; it is then removed
 */
export async function exportChanges(
  reader: SystemReader,
  comparison: Comparison,
  selected: Selection,
  warn: (text: string) => void,
  file: string,
  maxSize: string | undefined,
  terminal: boolean,
): Promise<boolean> {
  const limit = parseSize(maxSize ?? '1G');
  if (file === '-' && terminal) throw new UsageError('--export -: a tar file is not written to a terminal');
  if (file !== '-' && !file.startsWith('/'))
    throw new UsageError(`--export ${file}: the path must be absolute`);
  const target = file === '-' ? standardOutput() : createExportFile(file);
  const tar = tarWriter(target);
  try {
    const isComplete = await writeAll(reader, comparison, selected, warn, tar, limit);
    target.finish();
    return isComplete;
  } catch (error) {
    tar.destroy();
    target.abandon();
    if (error instanceof SystemError && file !== '-')
      throw new SystemError(`the export failed and was removed: ${error.message}`, error.code);
    throw error;
  }
}

/** Parses a size: "500M". @throws UsageError */
export function parseSize(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,9})([KMGT])$/.exec(text) ?? [];
  if (digits === '')
    throw new UsageError(`--max-size ${text}: must be a number with K, M, G or T, such as 500M`);
  return Number(digits) * 1024 ** ('KMGT'.indexOf(unit) + 1);
}

async function writeAll(
  reader: SystemReader,
  comparison: Comparison,
  selected: Selection,
  warn: (text: string) => void,
  tar: TarWriter,
  limit: number,
): Promise<boolean> {
  const now = () => reader.now();
  const begun = now().toISOString();
  const problems: string[] = [];
  const problem = (text: string) => {
    problems.push(text);
    warn(text);
  };
  const processes = await writeProcesses(reader, tar, problem);
  const texts = await writeTexts(reader, tar, problem);
  const manifest = partsWriter(tar, 'manifest', 'ndjson', now);
  const xattrs = xattrReader();
  const room = () => limit - tar.bytes - manifest.waiting - reserve;
  const files = fileExporter(tar, xattrs, room, (line) => manifest.add(Buffer.from(jsonLine(line))));
  try {
    const isNoise = ignores(ignoredByDefault);
    await comparison.run(
      selected,
      passOf(files, (path) => !isNoise(path), problem, manifest.add),
    );
    const journal = await writeJournal(tar, room, problem, now);
    await comparison.run(selected, passOf(files, isNoise));
    const { omitted } = files;
    if (omitted.count > 0)
      problem(
        `${omitted.count} changed files (${formatBytes(omitted.bytes)}) are not in the export, because it would be larger than ${formatBytes(limit)}: raise --max-size, or name paths`,
      );
    const summary = {
      format: 1,
      host: readIdentity(reader),
      begun,
      ended: now().toISOString(),
      layers: comparison.layers.map(({ target, upper, lower }) => ({ target, upper, lower })),
      notes: comparison.notes,
      problems: [...comparison.problems, ...problems],
      changes: files.count,
      bytes: files.bytes,
      omitted,
      texts,
      ...{ processes, journal, manifest: await manifest.end() },
    };
    await tar.addText('manifest.json', `${toJson(summary, 2)}\n`, now());
    await tar.end();
    return problems.length === 0;
  } finally {
    xattrs.close();
  }
}

/** The bytes that are kept for manifest.json. */
const reserve = 256 * 1024;

/** Exports the changes at the paths for which `isWanted` returns true. Only one of the passes reports errors. */
function passOf(
  files: FileExporter,
  isWanted: (path: string) => boolean,
  problem?: (text: string) => void,
  addLine?: (line: Buffer) => Promise<void>,
): Report {
  return async (found, layer) => {
    if (isUnknown(found)) {
      problem?.(`${decodeBytes(found.path)}: ${decodeBytes(found.error)}`);
      await addLine?.(Buffer.from(jsonLine(unknownObject(found))));
    } else if (isWanted(found.path)) {
      const error = await files.add(found, layer);
      if (error !== undefined) problem?.(`${decodeBytes(found.path)}: ${decodeBytes(error)}`);
    }
  };
}

async function writeTexts(
  reader: SystemReader,
  tar: TarWriter,
  problem: (text: string) => void,
): Promise<Part[]> {
  const parts: Part[] = [];
  for (const file of ['/proc/self/mountinfo', '/run/immutafs/boot.env', '/run/immutafs/report.json']) {
    const member = file.slice(file.lastIndexOf('/') + 1);
    try {
      const text = reader.readIfPresent(file, 64 * 1024 * 1024);
      if (text === undefined) continue;
      parts.push({ member, sha256: await tar.addText(member, Buffer.from(text, 'latin1'), reader.now()) });
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      problem(errorMessage(error));
    }
  }
  return parts;
}

async function writeJournal(
  tar: TarWriter,
  room: () => number,
  problem: (text: string) => void,
  now: () => Date,
): Promise<Part[]> {
  const parts = partsWriter(tar, 'journal', 'export', now);
  try {
    for await (const chunk of exportJournal()) {
      if (parts.waiting + chunk.length + memberOverhead > room()) {
        problem('the journal in the export is incomplete, because of --max-size');
        break;
      }
      await parts.add(chunk);
    }
  } catch (error) {
    if (!(error instanceof SystemError) || error.code === 'ENOSPC') throw error;
    problem(errorMessage(error));
  }
  return parts.end();
}
