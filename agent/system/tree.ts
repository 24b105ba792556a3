import fs from 'node:fs';
import { setImmediate as yieldToEvents } from 'node:timers/promises';
import { createHash } from 'node:crypto';
import { SystemError, hasCode, unless } from '../lib/errors.ts';

/**
 * Reads the state of a tree, without the files on other file systems.
 * @param pause is called for each file; an error that it throws ends the walk
 */
export async function readTreeState(directory: string, pause: () => void): Promise<TreeState> {
  const state = makeTreeState();
  await walkTree(directory, pause, (name, stat) => {
    state.add(name, stateOf(stat));
    return undefined;
  });
  return state.done();
}

/**
 * Removes everything in a tree, but not the directory itself, and not files on other file systems.
 * @param pause is called for each file; an error that it throws ends the walk
 * @returns the names of files that are kept: those on other file systems, and immutable ones
 * @throws the system's error, which ends the walk
 */
export async function removeTree(directory: string, pause: () => void): Promise<string[]> {
  const kept: string[] = [];
  const visit: Visit = (name, stat, at) => {
    const removed = (remove: () => void) => {
      if (isImmutable(remove)) kept.push(name);
    };
    if (stat.isDirectory()) return () => removed(() => unless(hasCode('ENOTEMPTY'), () => fs.rmdirSync(at)));
    removed(() => fs.unlinkSync(at));
    return undefined;
  };
  await walkTree(directory, pause, visit, (name) => kept.push(name));
  return kept;
}

/** Whether `remove` fails with EPERM. The file or its directory then has attribute i or a (chattr(1)). */
function isImmutable(remove: () => void): boolean {
  const isRemoved = unless(hasCode('EPERM'), () => {
    remove();
    return true;
  });
  return isRemoved === undefined;
}

type Visit = (name: string, stat: fs.BigIntStats, at: Buffer) => (() => void) | undefined;

/**
 * Visits every file below a directory, and each directory before its contents. If `visit` returns a function, the function
 * is called after the contents were visited. Each file is accessed relative to its open parent directory, so that a
 * symbolic link that replaces a directory is not followed.
 */
async function walkTree(
  directory: string,
  pause: () => void,
  visit: Visit,
  foreign: (name: string) => void = () => undefined,
): Promise<void> {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = fs.constants;
  let count = 0;
  const descend = async (at: Buffer | string, prefix: string, device?: bigint): Promise<void> => {
    const fd = fs.openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      const here = Buffer.from(`/proc/self/fd/${fd}/`);
      const own = device ?? fs.fstatSync(fd, { bigint: true }).dev;
      for (const each of fs.readdirSync(here, { encoding: 'buffer' })) {
        if (++count % 1000 === 0) await yieldToEvents();
        pause();
        const child = Buffer.concat([here, each]);
        const name = `${prefix}${each.toString('latin1')}`;
        const stat = fs.lstatSync(child, { bigint: true, throwIfNoEntry: false });
        if (stat === undefined) continue;
        if (stat.dev !== own) {
          foreign(name);
          continue;
        }
        const after = visit(name, stat, child);
        if (stat.isDirectory()) await descend(child, `${name}/`, own);
        after?.();
      }
    } finally {
      fs.closeSync(fd);
    }
  };
  await descend(directory, '');
}

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

function stateOf({ ino, size, mtimeNs, ctimeNs }: fs.BigIntStats): FileState {
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
