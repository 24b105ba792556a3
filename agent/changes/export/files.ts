import { isUtf8 } from 'node:buffer';
import { SystemError, errorMessage, isAbsent } from '../../lib/errors.ts';
import { isUnchanged, readInPieces } from '../../system/layers/content.ts';
import type { Directory, Entry, OpenFile } from '../../system/layers/directory.ts';
import { type Member, type TarWriter, memberOverhead } from '../../system/layers/tar-writer.ts';
import type { XattrReader, Xattrs } from '../../system/layers/xattrs.ts';
import type { Change } from '../change.ts';
import { changeObject } from '../json.ts';
import { type OpenLayer, inParent, withFile } from '../walk/place.ts';
import { decodeBytes } from '../../lib/format.ts';

/** Adds changed files to an export, and a line for each change to its manifest. */
export type FileExporter = ReturnType<typeof fileExporter>;

/**
 * @param room returns the bytes that the export may still take
 * @param line adds an object to the manifest
 */
export function fileExporter(
  tar: TarWriter,
  xattrs: XattrReader,
  room: () => number,
  line: (object: object) => Promise<void>,
) {
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
    const its = {
      ...(attributes.size === 0 ? {} : { xattrValues: xattrObject(attributes) }),
      ...(link === undefined ? {} : { linkBytes: Buffer.from(link, 'latin1').toString('base64') }),
    };
    if (member === undefined) return { ...its, omitted: `a ${entry.type} has no content` };
    if (entry.type !== 'file') {
      await tar.add(member);
      return { ...its, member: member.name };
    }
    return { ...its, ...(await withFile(directory, name, (file) => writeContent(member, file))) };
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
    /** @returns why the file is not in the export, or not as it was; undefined if it is, or has no content to export */
    add: async (change: Change, layer: OpenLayer | undefined): Promise<string | undefined> => {
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
    /** The number of changes, and the bytes of content. */
    get count() {
      return count;
    },
    get bytes() {
      return bytes;
    },
    /** The files that did not fit, and their bytes. */
    omitted,
  };
}

const types: Partial<Record<Entry['type'], Member['type']>> = {
  file: 'file',
  directory: 'directory',
  symlink: 'symlink',
  fifo: 'fifo',
  char: 'character-device',
  block: 'block-device',
};

/**
 * Returns the name of a file in the export: files/PATH, or undecodable/NUMBER if the path is not valid UTF-8, which a pax
 * header cannot contain. The manifest has the path in bytes.
 */
export function memberName(path: string, number: number): string {
  const bytes = Buffer.from(path, 'latin1');
  return isUtf8(bytes) ? `files${bytes.toString('utf8')}` : `undecodable/${String(number).padStart(6, '0')}`;
}

/** @returns undefined for a socket, which a tar file cannot contain */
export function memberOf(
  name: string,
  entry: Entry,
  link: string | undefined,
  xattrs: Xattrs,
): Member | undefined {
  const type = types[entry.type];
  if (type === undefined) return undefined;
  const { mode, uid, gid, mtime, device } = entry;
  return {
    ...{ name, type, mode, uid, gid, mtime },
    ...(link === undefined ? {} : { linkname: decodeBytes(link) }),
    ...(entry.type === 'char' || entry.type === 'block' ? { device } : {}),
    xattrs: textXattrs(xattrs),
  };
}

/** Selects the attributes that tar-stream can write: valid UTF-8. The manifest has all of them in base64. */
function textXattrs(xattrs: Xattrs): Map<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of xattrs) {
    const [key, bytes] = [Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1')];
    if (isUtf8(key) && isUtf8(bytes) && !name.includes('='))
      found.set(key.toString('utf8'), bytes.toString('utf8'));
  }
  return found;
}

/** Returns the attributes for the manifest. */
function xattrObject(xattrs: Xattrs): Record<string, string> {
  return Object.fromEntries(
    [...xattrs].map(([name, value]) => [decodeBytes(name), Buffer.from(value, 'latin1').toString('base64')]),
  );
}

/** A member of the export that contains a part of a longer text. */
export interface Part {
  member: string;
  sha256: string;
}

const partBytes = 4 * 1024 * 1024;

/**
 * Writes a text of any length in members of limited size, because a tar header states the size in advance.
 * @param directory the members are called DIRECTORY/00001.EXTENSION and so on
 */
export function partsWriter(tar: TarWriter, directory: string, extension: string, now: () => Date) {
  const parts: Part[] = [];
  let waiting: Buffer[] = [];
  let bytes = 0;
  const flush = async () => {
    if (bytes === 0) return;
    const member = `${directory}/${String(parts.length + 1).padStart(5, '0')}.${extension}`;
    const content = Buffer.concat(waiting);
    [waiting, bytes] = [[], 0];
    parts.push({ member, sha256: await tar.addText(member, content, now()) });
  };
  return {
    add: async (piece: Buffer): Promise<void> => {
      waiting.push(piece);
      bytes += piece.length;
      if (bytes >= partBytes) await flush();
    },
    /** Writes the rest. @returns all members */
    end: async (): Promise<Part[]> => {
      await flush();
      return parts;
    },
    /** The bytes that are not written yet. */
    get waiting() {
      return bytes;
    },
  };
}
