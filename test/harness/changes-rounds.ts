/**
 * Runs in a private mount namespace: applies random operations to an overlay, compares the result of the walk over the
 * upper layer with that of a naive comparison of two full walks, and exits with 1 if they differ.
 *
 *   changes-rounds.ts FOLDER ROUNDS READ-XATTRS [OPTIONS]
 *
 * FOLDER: a file system with the folder lower; OPTIONS: more mount options
 */
import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { type Found, isUnknown } from '../../agent/changes/change.ts';
import { selection } from '../../agent/changes/change.ts';
import { walkLayer } from '../../agent/changes/walk/walk.ts';
import { openDirectory } from '../../agent/system/layers/directory.ts';
import { xattrReader } from '../../agent/system/layers/xattrs.ts';

const [folder = '', rounds = '', program = '', options = ''] = process.argv.slice(2);
const lower = path.join(folder, 'lower');
const merged = '/mnt/merged';
const layer = '/mnt/layer';

const names = ['a', 'b', 'c', 'ü\n', 'long'.repeat(30)];
const pathOf = fc
  .array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'));
const alone = [
  ...['write', 'same', 'append', 'truncate', 'unlink', 'rmdir', 'mkdir', 'rmtree', 'remake', 'symlink'],
  ...['fifo', 'device', 'chmod', 'chown', 'touch', 'xattr', 'noxattr', 'open', 'stealth'],
];
const withAnother = ['rename', 'link', 'swap', 'copyover'];
const operation = fc.oneof(
  ...alone.map((name) => fc.tuple(fc.constant(name), pathOf, fc.constant(''))),
  ...withAnother.map((name) => fc.tuple(fc.constant(name), pathOf, pathOf)),
);

/** Creates the lower layer once: files of every type in three levels. */
function makeLower(): void {
  const make = (at: string, depth: number, seed: number) => {
    fs.mkdirSync(at);
    for (const [index, name] of names.entries()) {
      const file = path.join(at, name);
      const kind = (seed * 7 + index * 3 + depth) % 8;
      if (kind < 3 && depth < 3) make(file, depth + 1, seed + index + 1);
      else if (kind < 6) fs.writeFileSync(file, `${seed} ${index}\n`.repeat(kind * 50));
      else if (kind === 6) fs.symlinkSync(`to ${seed}`, file);
      if (kind === 5) execFileSync('setfattr', ['-n', 'trusted.test', '-v', 'lower', file]);
      if (kind === 4) fs.chownSync(file, 5, 6);
    }
  };
  make(lower, 1, 1);
  fs.linkSync(firstFile(lower), path.join(lower, 'hard'));
}

function firstFile(at: string): string {
  for (const name of fs.readdirSync(at)) {
    const file = path.join(at, name);
    if (fs.lstatSync(file).isFile()) return file;
  }
  throw new Error('no file');
}

function apply([name, first, second]: readonly string[]): void {
  const [file, other] = [path.join(merged, first ?? ''), path.join(merged, second ?? '')];
  const actions: Record<string, () => void> = {
    write: () => fs.writeFileSync(file, `new ${first}`),
    same: () => fs.writeFileSync(file, fs.readFileSync(file)),
    append: () => fs.appendFileSync(file, 'more'),
    truncate: () => fs.truncateSync(file, 1),
    unlink: () => fs.unlinkSync(file),
    rmdir: () => fs.rmdirSync(file),
    mkdir: () => fs.mkdirSync(file),
    rmtree: () => fs.rmSync(file, { recursive: true }),
    remake: () => {
      fs.rmSync(file, { recursive: true });
      fs.mkdirSync(file);
      fs.writeFileSync(path.join(file, 'a'), 'remade');
    },
    symlink: () => fs.symlinkSync('target', file),
    fifo: () => void execFileSync('mkfifo', [file], { stdio: 'ignore' }),
    device: () => void execFileSync('mknod', [file, 'c', '1', '3'], { stdio: 'ignore' }),
    chmod: () => fs.chmodSync(file, 0o4751),
    chown: () => fs.lchownSync(file, 12, 34),
    touch: () => fs.lutimesSync(file, 1, 2),
    xattr: () =>
      void execFileSync('setfattr', ['-h', '-n', 'trusted.test', '-v', 'upper', file], { stdio: 'ignore' }),
    noxattr: () => void execFileSync('setfattr', ['-h', '-x', 'trusted.test', file], { stdio: 'ignore' }),
    // Copies the file up without changing it.
    open: () => fs.closeSync(fs.openSync(file, 'r+')),
    // Changes the content but not the size and the mtime.
    stealth: () => {
      const { mtimeNs, size } = fs.statSync(file, { bigint: true });
      fs.writeFileSync(file, 'x'.repeat(Number(size)));
      const nanoseconds = String(mtimeNs % 1_000_000_000n).padStart(9, '0');
      execFileSync('touch', ['-c', '-d', `@${mtimeNs / 1_000_000_000n}.${nanoseconds}`, file]);
    },
    rename: () => fs.renameSync(file, other),
    link: () => fs.linkSync(file, other),
    swap: () => {
      fs.renameSync(file, path.join(merged, 'swap'));
      fs.renameSync(other, file);
      fs.renameSync(path.join(merged, 'swap'), other);
    },
    copyover: () => {
      fs.copyFileSync(file, path.join(merged, 'copy'));
      fs.renameSync(path.join(merged, 'copy'), other);
    },
  };
  try {
    // To open a FIFO would wait for a writer.
    const opens = ['write', 'same', 'append', 'truncate', 'open', 'stealth', 'copyover'].includes(name ?? '');
    if (opens && fs.lstatSync(file, { throwIfNoEntry: false })?.isFile() === false) return;
    actions[name ?? '']?.();
  } catch {
    // Most operations do not fit the tree as it is.
  }
}

type Facts = Record<'type' | 'mode' | 'owner' | 'mtime' | 'content' | 'xattr', string>;

/** Reads a tree completely. */
function readTree(root: string): Map<string, Facts> {
  const attributes = new Map<string, string>();
  const options = ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'hex', '--absolute-names', root];
  const listing = execFileSync('getfattr', options, { maxBuffer: 1e8, encoding: 'latin1' });
  for (const block of listing.split('\n\n')) {
    const [head = '', ...lines] = block.split('\n');
    const name = head
      .slice('# file: '.length)
      .replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
    const own = lines.filter((line) => !line.startsWith('trusted.overlay.'));
    attributes.set(name, own.sort().join());
  }
  const found = new Map<string, Facts>();
  const read = (relative: string) => {
    const file = path.join(root, relative);
    const stat = fs.lstatSync(file, { bigint: true });
    const isFolder = stat.isDirectory();
    const bytes = Buffer.from(file).toString('latin1');
    found.set(relative, {
      type: String(Number(stat.mode) & fs.constants.S_IFMT),
      mode: String(Number(stat.mode) & 0o7777),
      owner: `${stat.uid}:${stat.gid}`,
      mtime: isFolder ? '' : String(stat.mtimeNs),
      content: contentOf(file, stat),
      xattr: attributes.get(bytes) ?? '',
    });
    if (isFolder) for (const name of fs.readdirSync(file)) read(path.join(relative, name));
  };
  for (const name of fs.readdirSync(root)) read(name);
  return found;
}

function contentOf(file: string, stat: fs.BigIntStats): string {
  if (stat.isFile()) return fs.readFileSync(file, 'latin1');
  return stat.isSymbolicLink() ? fs.readlinkSync(file) : String(stat.rdev);
}

const aspects = ['content', 'mode', 'mtime', 'owner', 'xattr'] as const;

/** Compares two complete trees. Of a directory that only one of them has, the content is not compared if it is the lower. */
function naive(): string[] {
  const [upper, old] = [readTree(merged), readTree(lower)];
  const differences: string[] = [];
  const gone = (file: string) => {
    const parts = path.dirname(file).split('/');
    return parts.some((_, index) => {
      const parent = parts.slice(0, index + 1).join('/');
      return parent !== '.' && upper.get(parent)?.type !== String(fs.constants.S_IFDIR);
    });
  };
  for (const [file, facts] of upper) {
    const before = old.get(file);
    if (before === undefined) differences.push(`added ${file}`);
    else if (before.type !== facts.type) differences.push(`replaced ${file}`);
    else {
      const what = aspects.filter((each) => before[each] !== facts[each]);
      if (what.length > 0) differences.push(`modified ${file} ${what.join()}`);
    }
  }
  for (const file of old.keys()) if (!upper.has(file) && !gone(file)) differences.push(`deleted ${file}`);
  return differences.sort();
}

/** Walks the upper layer, and writes the changes as the naive comparison does. */
async function walked(): Promise<string[]> {
  const xattrs = xattrReader(program);
  const [upper, below] = [openDirectory(`${layer}/upper`), openDirectory(lower)];
  const found: Found[] = [];
  try {
    await walkLayer({ target: '/', upper, lower: below, metacopy: false }, xattrs, selection([]), (each) => {
      found.push(each);
    });
  } finally {
    xattrs.close();
    upper.close();
    below.close();
  }
  return found.flatMap(normalize).sort();
}

function normalize(found: Found): string[] {
  const decode = (text: string) => Buffer.from(text, 'latin1').toString('utf8').slice(1);
  const file = decode(found.path);
  if (isUnknown(found)) return [`unknown ${file} ${found.error}`];
  const what = [...found.what].sort();
  const modified = what.length === 0 ? [] : [`modified ${file} ${what.join()}`];
  const isReplaced = found.was !== undefined;
  switch (found.change) {
    case 'added':
    case 'deleted':
      return [`${found.change} ${file}`];
    case 'modified':
    case 'opaque':
      return modified;
    case 'replaced':
      return isReplaced ? [`replaced ${file}`] : modified;
    case 'renamed': {
      const from = decode(found.from ?? '');
      // The walk compares a renamed file with its source, unless it replaced another file.
      const existed = exists(path.join(lower, file));
      const own = isReplaced ? [`replaced ${file}`] : existed ? modified : [`added ${file}`];
      const source = exists(path.join(merged, from));
      return [...own, ...(source ? [] : [`deleted ${from}`])];
    }
  }
}

function exists(file: string): boolean {
  try {
    fs.lstatSync(file);
    return true;
  } catch {
    return false;
  }
}

async function round(operations: readonly (readonly string[])[]): Promise<void> {
  for (const each of ['upper', 'work']) fs.mkdirSync(`${layer}/${each}`);
  const mount = `lowerdir=${lower},upperdir=${layer}/upper,workdir=${layer}/work${options}`;
  execFileSync('mount', ['-t', 'overlay', '-o', mount, 'x', merged]);
  try {
    for (const each of operations) apply(each);
    const [expected, found] = [naive(), await walked()];
    if (expected.join('\n') !== found.join('\n')) {
      const missing = expected.filter((each) => !found.includes(each));
      const wrong = found.filter((each) => !expected.includes(each));
      throw new Error(`missing: ${JSON.stringify(missing)}; wrong: ${JSON.stringify(wrong)}`);
    }
    counted += expected.length;
  } finally {
    execFileSync('umount', [merged]);
    for (const each of ['upper', 'work']) fs.rmSync(`${layer}/${each}`, { recursive: true });
  }
}

let counted = 0;
makeLower();
for (const each of [merged, layer]) fs.mkdirSync(each);
execFileSync('mount', ['-t', 'tmpfs', 'x', layer]);
try {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 40, size: 'max' }), round),
    { numRuns: Number(rounds), endOnFailure: process.env['SHRINK'] === undefined },
  );
  process.stdout.write(`${counted} changes\n`);
} catch (error) {
  process.stdout.write(`${String(error)}\n${error instanceof Error ? String(error.cause) : ''}\n`);
  process.exitCode = 1;
}
