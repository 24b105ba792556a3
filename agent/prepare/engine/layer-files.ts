import { containerDirectories } from '../../assess/scratch-proposal.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { asPattern, findRecords } from '../../system/find.ts';
import { readXattrsProgram } from '../../system/layers/xattrs.ts';
import type { Ended, SystemReader } from '../../system/reader.ts';
import { type SpecialFile, isSpecial, parseSpecial, printSpecial, searchLimit } from './special-files.ts';

/** Upper bound on the names of each kind, in bytes. */
export const mostNames = 16 * 1024 ** 2;
/** The attributes of overlayfs begin with it. */
export const overlayPrefix = 'trusted.overlay.';

/**
 * `whiteouts`: character devices 0:0. `devices` and `programs`: other device files, and set-user-ID and set-group-ID programs,
 * outside of container stores. `attributes`: files with attributes of overlayfs.
 */
export type LayerFileKind = SpecialFile['kind'] | 'attributes';

/** The files that an overlay over a directory, or its mount options, would make unusable or change. */
export interface LayerFiles {
  /** One character per byte (latin1). */
  found: Record<LayerFileKind, string[]>;
  /** How find(1) ended. `bad` also if it could not read a directory, or a file vanished. */
  ended: Ended['ended'];
  /** The kinds whose names take more than `mostNames`, so that some are missing. */
  full: Set<LayerFileKind>;
}

/**
 * Finds these files in one walk, which serves the steps `var` and `exec`.
 * @param root the folder to search, without the file systems mounted below it
 */
export async function findLayerFiles(reader: SystemReader, root: string): Promise<LayerFiles> {
  const found: LayerFiles['found'] = { whiteouts: [], devices: [], programs: [], attributes: [] };
  const bytes = { whiteouts: 0, devices: 0, programs: 0, attributes: 0 };
  const full: LayerFiles['full'] = new Set();
  const args = [root, '-ignore_readdir_race', '-xdev', '(', ...special, ',', ...attributes, ')'];
  const ended = await findRecords(reader, args, searchLimit, (record) => {
    const { kind, path } = parseRecord(record) ?? {};
    if (kind === undefined || path === undefined) return;
    bytes[kind] += path.length;
    if (bytes[kind] <= mostNames) found[kind].push(path);
    else full.add(kind);
  });
  return { found, ended, full };
}

/**
 * In container stores, only whiteouts are searched for. The paths are compared last, and so for few files, because each
 * comparison is slow.
 */
const inStores = containerDirectories.flatMap((path) => ['!', '-path', `${asPattern(path)}/*`]);
const special = [...isSpecial, '(', '-type', 'c', '-o', ...inStores, ')', ...printSpecial];
/** Prints "PATH". */
const attributes = ['-exec', readXattrsProgram, overlayPrefix, '{}', '+'];

function parseRecord(record: string): { kind: LayerFileKind; path: string } | undefined {
  if (record.startsWith('/')) return { kind: 'attributes', path: record };
  const file = parseSpecial(record);
  const isInStore = ({ path }: SpecialFile) => containerDirectories.some((store) => isBelow(path, store));
  return file?.kind === 'devices' && isInStore(file) ? undefined : file;
}
