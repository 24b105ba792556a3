import { SystemError, errorMessage, isAbsent } from '../../lib/errors.ts';
import { isUnchanged, readInPieces } from '../../system/layers/content.ts';
import type { Directory, OpenFile } from '../../system/layers/directory.ts';
import { type Member, type TarWriter, memberOverhead } from '../../system/layers/tar-writer.ts';
import type { XattrReader } from '../../system/layers/xattrs.ts';
import type { Change } from '../change.ts';
import { changeObject } from '../json.ts';
import { inParent } from '../walk/open-below.ts';
import type { OpenLayer } from '../walk/place.ts';
import { memberName, memberOf, xattrObject } from './member.ts';

/** Adds changed files to an export, and a line for each change to its manifest. */
export interface FileExporter {
  /** @returns why the file is not in the export, or not as it was; undefined if it is, or has no content to export */
  add(change: Change, layer: OpenLayer | undefined): Promise<string | undefined>;
  /** The number of changes, and the bytes of content. */
  readonly count: number;
  readonly bytes: number;
  /** The files that did not fit, and their bytes. */
  readonly omitted: { count: number; bytes: number };
}

/**
 * @param room returns the bytes that the export may still take
 * @param line adds an object to the manifest
 */
export function fileExporter(
  tar: TarWriter,
  xattrs: XattrReader,
  room: () => number,
  line: (object: object) => Promise<void>,
): FileExporter {
  const omitted = { count: 0, bytes: 0 };
  let [count, bytes] = [0, 0];

  async function write(change: Change, directory: Directory, name: string): Promise<object> {
    const [attributes] = await xattrs.read([directory.path(name)]);
    if (attributes === undefined || 'error' in attributes)
      throw new SystemError('its extended attributes cannot be read', attributes?.error);
    const entry = directory.stat(name);
    if (entry === undefined) throw new SystemError('vanished', 'ENOENT');
    const link = entry.type === 'symlink' ? directory.link(name) : undefined;
    const member = memberOf(memberName(change.path, count), entry, link, attributes);
    const values = attributes.size === 0 ? {} : { xattrValues: xattrObject(attributes) };
    const its = {
      ...values,
      ...(link === undefined ? {} : { linkBytes: Buffer.from(link, 'latin1').toString('base64') }),
    };
    if (member === undefined) return { ...its, omitted: `a ${entry.type} has no content` };
    if (entry.type !== 'file') {
      await tar.add(member);
      return { ...its, member: member.name };
    }
    const file = directory.file(name);
    try {
      return { ...its, ...(await writeContent(member, file)) };
    } finally {
      file.close();
    }
  }

  async function writeContent(member: Member, file: OpenFile): Promise<object> {
    const before = file.stat();
    if (before.size + memberOverhead > room()) {
      omitted.count += 1;
      omitted.bytes += before.size;
      return { omitted: 'larger than the rest of --max-size' };
    }
    const written = await tar.addFile(member, before.size, readInPieces(file, before.size));
    bytes += written.bytes;
    const changed = isUnchanged(before, file.stat()) ? {} : { changedWhileRead: true };
    const missing = written.bytes < before.size ? { paddedFrom: written.bytes } : {};
    return { member: member.name, sha256: written.sha256, ...changed, ...missing };
  }

  return {
    add: async (change, layer) => {
      count += 1;
      const { at } = change;
      if (change.change === 'deleted' || layer === undefined || at === undefined || at === '') {
        await line(changeObject(change));
        return undefined;
      }
      try {
        const more = await inParent(layer.upper, at, (directory, name) => write(change, directory, name));
        await line({ ...changeObject(change), ...more });
        return undefined;
      } catch (error) {
        if (!(error instanceof SystemError) || error.code === 'ENOSPC' || error.code === 'EPIPE') throw error;
        await line({ ...changeObject(change), omitted: errorMessage(error) });
        return isAbsent(error) ? undefined : errorMessage(error);
      }
    },
    get count() {
      return count;
    },
    get bytes() {
      return bytes;
    },
    omitted,
  };
}
