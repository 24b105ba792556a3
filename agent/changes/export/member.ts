import { isUtf8 } from 'node:buffer';
import { decodeBytes } from '../../lib/format.ts';
import type { Entry } from '../../system/layers/directory.ts';
import type { Member } from '../../system/layers/tar-writer.ts';
import type { Xattrs } from '../../system/layers/xattrs.ts';

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
export function xattrObject(xattrs: Xattrs): Record<string, string> {
  return Object.fromEntries(
    [...xattrs].map(([name, value]) => [decodeBytes(name), Buffer.from(value, 'latin1').toString('base64')]),
  );
}
