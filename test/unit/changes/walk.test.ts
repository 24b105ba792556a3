/** Walks over recorded trees, as Linux 3.10 and other kernels leave them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Found, isUnknown } from '../../../agent/changes/change.ts';
import { selection } from '../../../agent/changes/change.ts';
import { walkLayer } from '../../../agent/changes/walk/walk.ts';
import { SystemError } from '../../../agent/lib/errors.ts';
import type { Entry, Directory, OpenFile } from '../../../agent/system/layers/directory.ts';
import type { XattrReader } from '../../../agent/system/layers/xattrs.ts';

/** A recorded file. A directory has `files`; a whiteout is a character device 0:0. */
interface Recorded extends Partial<Entry> {
  text?: string;
  files?: Record<string, Recorded>;
  xattrs?: Record<string, string>;
  /** The error code of every access to it. */
  error?: string;
}

const whiteout: Recorded = { type: 'char', device: '0:0' };
const directory = (files: Record<string, Recorded>, more: Recorded = {}): Recorded => ({ ...more, files });

function entryOf({ text = '', files, ...own }: Recorded): Entry {
  return {
    type: own.type ?? (files ? 'directory' : 'file'),
    mode: own.mode ?? (files ? 0o755 : 0o644),
    uid: own.uid ?? 0,
    gid: own.gid ?? 0,
    size: own.size ?? text.length,
    mtime: own.mtime ?? 1n,
    ctime: own.ctime ?? 1n,
    inode: own.inode ?? 1n,
    device: own.device ?? '0:0',
  };
}

/** Counts the directories of the lower layer that were listed. */
let listed: string[] = [];
/** The number of files and directories that are open. */
let opened = 0;

function open(recorded: Recorded, path: string): Directory {
  opened += 1;
  const child = (name: string): Recorded => {
    const found = recorded.files?.[name];
    if (found === undefined) throw new SystemError(`${path}/${name}: no such file`, 'ENOENT');
    if (found.error !== undefined) throw new SystemError(`${path}/${name}: broken`, found.error);
    return found;
  };
  return {
    entry: entryOf(recorded),
    *names() {
      listed.push(path);
      yield Object.keys(recorded.files ?? {});
    },
    stat: (name) => {
      if (recorded.files?.[name] === undefined) return undefined;
      return entryOf(child(name));
    },
    open: (name) => open(child(name), `${path}/${name}`),
    link: (name) => child(name).text ?? '',
    file: (name) => file(child(name)),
    path: (name) => (name === '.' ? path : `${path}/${name}`),
    close: () => void (opened -= 1),
  };
}

function file(recorded: Recorded): OpenFile {
  opened += 1;
  return {
    stat: () => entryOf(recorded),
    read: (buffer, offset) =>
      buffer.write((recorded.text ?? '').slice(offset, offset + buffer.length), 'latin1'),
    close: () => void (opened -= 1),
  };
}

function xattrsOf(roots: Record<string, Recorded>): XattrReader {
  const find = (path: string): Recorded | undefined => {
    const [root = '', ...names] = path.split('/');
    return names.reduce<Recorded | undefined>((at, name) => at?.files?.[name], roots[root]);
  };
  return {
    read: (paths) => Promise.resolve(paths.map((path) => new Map(Object.entries(find(path)?.xattrs ?? {})))),
    close: () => undefined,
  };
}

async function walk(upper: Recorded, lower: Recorded, paths: string[] = []): Promise<string[]> {
  [listed, opened] = [[], 0];
  const found: Found[] = [];
  const layer = { target: '/var', upper: open(upper, 'U'), lower: open(lower, 'L'), metacopy: false };
  await walkLayer(layer, xattrsOf({ U: upper, L: lower }), selection(paths), (each) => void found.push(each));
  // The two layers themselves remain open.
  assert.is(opened, 2, 'a descriptor leaks');
  return found
    .map((each) =>
      isUnknown(each)
        ? `unknown ${each.path}: ${each.error}`
        : [each.change, each.path, ...each.what].join(' '),
    )
    .sort();
}

const lower = directory({
  a: { text: 'a', inode: 10n },
  hard: { text: 'a', inode: 10n },
  dir: directory({ in: { text: 'in', inode: 11n }, other: { text: 'other', inode: 12n } }, { inode: 20n }),
  link: { type: 'symlink', text: 'old' },
});
const opaque = { xattrs: { 'trusted.overlay.opaque': 'y' } };

const walks = suite('walk over recorded trees');
for (const [title, upper, expected] of [
  ['an empty upper layer', {}, []],
  ['3.10: a copied-up file has no origin, and is no change', { a: { text: 'a', ctime: 9n, inode: 77n } }, []],
  [
    '3.10: one name of a hard link is copied up and changed, the other name keeps the old content',
    { a: { text: 'A', mtime: 2n } },
    ['modified /var/a content mtime'],
  ],
  ['a symbolic link', { link: { type: 'symlink', text: 'new' } }, ['modified /var/link content']],
  [
    '3.10: a rename is a deletion and an addition',
    { a: whiteout, b: { text: 'a' } },
    ['added /var/b', 'deleted /var/a'],
  ],
  [
    '3.10: an opaque directory',
    { dir: directory({ in: { text: 'in' } }, opaque) },
    ['deleted /var/dir/other', 'opaque /var/dir'],
  ],
  [
    'an opaque directory without entries',
    { dir: directory({}, opaque) },
    ['deleted /var/dir/in', 'deleted /var/dir/other', 'opaque /var/dir'],
  ],
  [
    'a whiteout in an opaque directory',
    { dir: directory({ in: whiteout }, opaque) },
    ['deleted /var/dir/in', 'deleted /var/dir/other', 'opaque /var/dir'],
  ],
  ['a copied-up directory is no change', { dir: directory({}, { mtime: 5n, size: 40 }) }, []],
  [
    'attributes of overlayfs are no change',
    { a: { text: 'a', xattrs: { 'trusted.overlay.nlink': 'U+1' } } },
    [],
  ],
  [
    'attributes of an overlay in this overlay are',
    { a: { text: 'a', xattrs: { 'trusted.overlay.overlay.opaque': 'y' } } },
    ['modified /var/a xattr'],
  ],
  ['a label', { a: { text: 'a', xattrs: { 'security.selinux': 'x' } } }, ['modified /var/a xattr']],
  [
    'a file of another type hides a directory with its content',
    { dir: { text: 'x' } },
    ['replaced /var/dir type'],
  ],
  ['a socket', { s: { type: 'socket' } }, ['added /var/s']],
  ['an entry that cannot be read', { a: { error: 'EIO' } }, ['unknown /var/a: U/a: broken']],
  ['an entry that vanished', { a: { error: 'ENOENT' } }, []],
] as const satisfies readonly (readonly [string, Record<string, Recorded>, readonly string[]])[]) {
  walks(title, async () => assert.equal(await walk(directory(upper), lower), [...expected]));
}
walks('a whiteout of a name that the lower layer hides by a whiteout is no change', async () => {
  assert.equal(await walk(directory({ w: whiteout }), directory({ w: whiteout })), []);
});
walks('a redirect that leads nowhere is a new directory', async () => {
  const moved = directory({ x: { text: 'x' } }, { xattrs: { 'trusted.overlay.redirect': '/none' } });
  assert.equal(await walk(directory({ moved }), lower), ['added /var/moved', 'added /var/moved/x']);
});
walks('a redirect with .. is an error', async () => {
  const moved = directory({}, { xattrs: { 'trusted.overlay.redirect': '/../etc' } });
  assert.match(
    (await walk(directory({ moved }), lower)).join(),
    /^unknown \/var\/moved: .*not a path in the layer/,
  );
});
walks('a directory of the lower layer is listed only if the upper layer hides it', async () => {
  await walk(directory({ dir: directory({ in: whiteout }) }), lower);
  assert.equal(listed, ['U', 'U/dir']);
  await walk(directory({ dir: directory({}, opaque) }), lower);
  assert.equal(listed, ['U', 'U/dir', 'L/dir']);
});
walks('paths select what is read and reported', async () => {
  const upper = directory({ a: { text: 'new' }, dir: directory({ in: whiteout }), e: directory({ x: {} }) });
  assert.equal(await walk(upper, lower, ['/var/dir']), ['deleted /var/dir/in']);
  assert.equal(listed, ['U', 'U/dir']);
  assert.equal(await walk(upper, lower, ['/var/e/x']), ['added /var/e/x']);
});
walks.run();
