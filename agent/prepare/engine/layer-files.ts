import { containerDirectories } from '../../assess/scratch-proposal.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { asPattern, findRecords } from '../../system/find.ts';
import { readXattrsProgram } from '../../system/layers/xattrs.ts';
import type { Ended, SystemReader } from '../../system/reader.ts';

/** The timeout of the search, in milliseconds. */
export const layerSearchLimit = 120_000;
/** Upper bound on the names of each kind, in bytes. */
export const mostNames = 16 * 1024 ** 2;
/** The attributes of overlayfs begin with it. */
export const overlayPrefix = 'trusted.overlay.';

/**
 * `whiteouts`: character devices 0:0. `devices` and `programs`: other device files, and set-user-ID and set-group-ID programs,
 * outside of container stores. `attributes`: files with attributes of overlayfs.
 */
export type LayerFileKind = 'whiteouts' | 'devices' | 'programs' | 'attributes';

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
  const ended = await findRecords(reader, args, layerSearchLimit, (record) => {
    const { kind, path } = parseRecord(record) ?? {};
    if (kind === undefined || path === undefined) return;
    bytes[kind] += path.length;
    if (bytes[kind] <= mostNames) found[kind].push(path);
    else full.add(kind);
  });
  return { found, ended, full };
}

/** In container stores, only whiteouts are searched for. Few files are compared with the paths, which is slow. */
const inStores = containerDirectories.flatMap((path) => ['!', '-path', `${asPattern(path)}/*`]);
/** Prints "MAJOR:MINOR MODE PATH"; the numbers are hexadecimal. */
const special = [
  ...'( -type c -o ( -type b -o -type f -perm /6000 )'.split(' '),
  ...inStores,
  ')',
  ...['-exec', '/usr/bin/stat', '--printf', '%t:%T %f %n\\0', '--', '{}', '+'],
];
/** Prints "PATH". */
const attributes = ['-exec', readXattrsProgram, overlayPrefix, '{}', '+'];

function parseRecord(record: string): { kind: LayerFileKind; path: string } | undefined {
  if (record.startsWith('/')) return { kind: 'attributes', path: record };
  const [, device = '', mode = '', path] = /^([\da-f]+:[\da-f]+) ([\da-f]+) (\/.*)$/s.exec(record) ?? [];
  if (path === undefined) return undefined;
  // S_IFMT, S_IFREG and S_IFCHR (inode(7))
  const type = parseInt(mode, 16) & 0o170000;
  if (type === 0o100000) return { kind: 'programs', path };
  if (device === '0:0') return type === 0o20000 ? { kind: 'whiteouts', path } : undefined;
  return containerDirectories.some((store) => isBelow(path, store)) ? undefined : { kind: 'devices', path };
}
