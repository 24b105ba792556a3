import { createHash } from 'node:crypto';
import type fs from 'node:fs';
import { SystemError } from '../lib/errors.ts';

/**
 * The state of every file in a tree: a 64-bit hash of the inode, size, mtime, ctime and name of each file. A file whose
 * hash is found has not changed, because the kernel updates the ctime at each write (inode(7)), unless root set the clock
 * before the write.
 */
export interface TreeState {
  has(name: string, state: FileState): boolean;
  /** Serialises the state for parseTreeState, one character per byte (latin1). */
  text(): string;
}

/** The state of one file. The mtime and the ctime are in nanoseconds since the epoch. */
export interface FileState {
  inode: bigint;
  size: bigint;
  modified: bigint;
  changed: bigint;
}

/** Parses a text from TreeState.text. @throws SystemError if the length of the text is not a multiple of 8 */
export function parseTreeState(text: string): TreeState {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length % 8 !== 0) throw new SystemError('the state of a tree has an impossible length');
  const keys = new BigUint64Array(bytes.length / 8);
  for (let index = 0; index < keys.length; index++) keys[index] = bytes.readBigUInt64LE(index * 8);
  return treeState(keys);
}

/** Collects the states of files one by one, in eight bytes per file. */
export function makeTreeState(): { add: (name: string, state: FileState) => void; done: () => TreeState } {
  const keys: bigint[] = [];
  return {
    add: (name, state) => keys.push(keyOf(name, state)),
    done: () => treeState(BigUint64Array.from(keys).sort()),
  };
}

export function stateOf({ ino, size, mtimeNs, ctimeNs }: fs.BigIntStats): FileState {
  return { inode: ino, size, modified: mtimeNs, changed: ctimeNs };
}

function keyOf(name: string, { inode, size, modified, changed }: FileState): bigint {
  const text = `${inode} ${size} ${modified} ${changed} ${name}`;
  return createHash('sha256').update(text, 'latin1').digest().readBigUInt64LE(0);
}

/** @param keys sorted */
function treeState(keys: BigUint64Array): TreeState {
  return {
    has: (name, state) => isAmong(keys, keyOf(name, state)),
    text: () => {
      const bytes = Buffer.alloc(keys.length * 8);
      keys.forEach((key, index) => bytes.writeBigUInt64LE(key, index * 8));
      return bytes.toString('latin1');
    },
  };
}

function isAmong(sorted: BigUint64Array, key: bigint): boolean {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0n) < key) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === key;
}
