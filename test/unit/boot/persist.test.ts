/** What PERSIST accepts of the store, the disks and the mounts, in Node. test/packaging/persist.test.ts runs the executable. */
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runBoot } from '../../harness/boot-native.ts';
import { makeSysfs } from '../../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

interface Case {
  mode?: 'sealed' | 'maintenance';
  /** By default /var/lib/x. */
  path?: string;
  persist?: string;
  store?: string;
  fstab?: string;
  /** The device and the options of /data; null: nothing is mounted there. */
  data?: { on?: string; type?: string; options?: string } | null;
  /** Further lines of mountinfo. */
  mounts?: string[];
  /** Further files. */
  files?: Parameters<typeof writeFiles>[1];
  /** Changes the tree. */
  change?: (at: (name: string) => string) => void;
}

const mount = (
  id: number,
  device: string,
  target: string,
  { root = '/', type = 'ext4', options = 'rw,nosuid,nodev', parent = 1, more = '' } = {},
) => `${id} ${parent} ${device} ${root} ${target} ${options} - ${type} ${type} rw${more}\n`;

/** Runs persist-path, and persist-check, which must agree. @returns the record */
function keep(given: Case): string {
  const { mode = 'sealed', path: kept = '/var/lib/x', store = '/data/store', data = {} } = given;
  return inTemporaryDirectory((root) => {
    const at = (name: string) => path.join(root, name);
    const disk = (name: string, device: string, offered = false) => ({
      name,
      device,
      bus: 'virtio-blk' as const,
      offered,
    });
    makeSysfs(root, [
      disk('vda', '252:0', mode === 'sealed'),
      disk('vdb', '252:16'),
      disk('vdc', '252:32', true),
      disk('vdd', '252:48'),
    ]);
    const sealed = [
      mount(2, '0:20', '/run', { type: 'tmpfs' }),
      mount(3, '252:0', '/run/immutafs/lower', { root: '/var', parent: 2 }),
      mount(4, '0:30', '/var', {
        type: 'overlay',
        more: ',lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work',
      }),
    ];
    const { on = '252:16', type = 'ext4', options = 'rw,nosuid,nodev' } = data ?? {};
    writeFiles(root, {
      'proc/self/mountinfo': [
        `1 0 252:0 / / rw - ext4 /dev/vda rw\n`,
        ...(mode === 'sealed' ? sealed : []),
        ...(data === null ? [] : [mount(5, on, '/data', { type, options })]),
        ...(given.mounts ?? []),
      ].join(''),
      'etc/fstab': given.fstab ?? '/dev/vdb1 /data ext4 nosuid,nodev,nofail 0 0\n',
      'etc/immutafs/immutafs.conf': `PERSIST=${given.persist ?? kept}\nPERSIST_STORE=${store}\n`,
      'var/lib/x/file': '',
      'run/immutafs/lower/lib/x/file': '',
      ...given.files,
    });
    fs.mkdirSync(at('data'), { recursive: true });
    given.change?.(at);
    const before = listing(at('data'));
    const ran = runBoot(root, ['persist-path', kept]);
    const record = fs.readFileSync(
      at(`run/immutafs/persisted/${kept.slice(1).replaceAll('/', '=')}`),
      'utf8',
    );
    assert.equal(listing(at('data')), before, 'nothing is created');
    const checked = runBoot(root, ['persist-check', kept]);
    assert.is(ran.code, 1);
    assert.is(checked.stdout, record.replace(/^STATE=failed\n/, ''));
    return record;
  });
}

function listing(folder: string): string[] {
  return fs.readdirSync(folder, { recursive: true }).map(String).sort();
}

type At = (name: string) => string;
const made =
  (mode = 0o700, name = 'data/store') =>
  (at: At) =>
    fs.mkdirSync(at(name), { mode });
const after = (first: (at: At) => void, then: (at: At) => void) => (at: At) => {
  first(at);
  then(at);
};
const tmpfs = { type: 'tmpfs' };

const refusals = suite('persist-path: refused');
for (const [title, reason, given] of [
  ['absent', 'the file system of PERSIST_STORE at /data is not mounted', { data: null }],
  [
    'the store is on the root',
    'the file system of PERSIST_STORE is not mounted',
    { data: null, fstab: '', mode: 'maintenance', change: made() },
  ],
  ['a tmpfs', '/data (tmpfs) is not on a disk', { data: { on: '0:9', ...tmpfs } }],
  ['an overlay', '/data (overlay) is not on a disk', { data: { on: '0:9', type: 'overlay' } }],
  ['a device that is not in sysfs', '/data (ext4) is not on a disk', { data: { on: '252:99' } }],
  ['the disk of the root', '/data is on the disk of /', { data: { on: '252:0' } }],
  ['likewise in maintenance', '/data is on the disk of /', { data: { on: '252:0' }, mode: 'maintenance' }],
  ['a read-only disk', 'the disk vdc of /data is read-only', { data: { on: '252:32' } }],
  ['mounted read-only', '/data is mounted read-only', { data: { options: 'ro,nosuid,nodev' } }],
  ['mounted without nodev', '/data is mounted without nodev', { data: { options: 'rw,nosuid' } }],
  ['mounted without nosuid', '/data is mounted without nosuid', { data: { options: 'rw,nodev' } }],
  ['on the network', '/data (nfs) may be mounted only when', { fstab: 'server:/x /data nfs x 0 0\n' }],
  ['on a cluster', '/data (ocfs2) may be mounted only when', { fstab: '/dev/sda /data ocfs2 x 0 0\n' }],
  ['by FUSE', '/data (fuse.glusterfs) may be', { fstab: 'server:/x /data fuse.glusterfs x 0 0\n' }],
  ['an unknown type', '/data (netfs) may be mounted only', { fstab: '/dev/sda /data netfs x 0 0\n' }],
  ['_netdev', '/data (xfs) may be mounted only when', { fstab: '/dev/sda /data xfs _netdev 0 0\n' }],
  ['another mode', 'root with the mode 0700 (0 0750)', { change: made(0o750) }],
  ['another owner', '0700 (7 0700)', { change: after(made(), (at) => fs.chownSync(at('data/store'), 7, 0)) }],
  ['a link', '/data/store is a symbolic link', { change: (at) => fs.symlinkSync('real', at('data/store')) }],
  ['a file', '/data/store is not a directory', { files: { 'data/store': '' } }],
  [
    'a link above it',
    '/data/a is a symbolic link',
    { store: '/data/a/store', change: (at) => fs.symlinkSync('real', at('data/a')) },
  ],
  ['a directory above it is missing', '/data/a is not a directory', { store: '/data/a/store' }],
  [
    'others can write above it',
    'users other than root can write to /data/a',
    {
      store: '/data/a/store',
      change: after(made(0o755, 'data/a'), (at) => fs.chmodSync(at('data/a'), 0o777)),
    },
  ],
  [
    'the mount point belongs to a user',
    'can write to /data, which holds',
    { change: (at) => fs.chownSync(at('data'), 7, 0) },
  ],
  [
    'the directory of the path is a symbolic link',
    '/data/store/var=lib=x is a symbolic link',
    { change: after(made(), (at) => fs.symlinkSync('/etc', at('data/store/var=lib=x'))) },
  ],
  [
    'the directory of the path is a file',
    '/data/store/var=lib=x is not a directory',
    { change: after(made(), (at) => fs.writeFileSync(at('data/store/var=lib=x'), '')) },
  ],
  ['not in PERSIST', 'PERSIST does not name this path', { persist: '/var/lib/y' }],
  ['not permitted by the configuration', '/etc/lvm/x configures this agent', { path: '/etc/lvm/x' }],
  ['a file', '/var/lib/x/file is not a directory: if a program renamed', { path: '/var/lib/x/file' }],
  ['no such directory', '/var/lib/none does not exist on the disk', { path: '/var/lib/none' }],
  [
    'a directory that this boot has made',
    '/var/lib/new does not exist on the disk',
    { path: '/var/lib/new', files: { 'var/lib/new/file': '' } },
  ],
  [
    'a symbolic link',
    '/var/lib/link is a symbolic link',
    { path: '/var/lib/link', change: (at) => fs.symlinkSync('x', at('var/lib/link')) },
  ],
  [
    'a symbolic link above',
    '/var/lib/up is a symbolic link',
    { path: '/var/lib/up/y', change: (at) => fs.symlinkSync('x', at('var/lib/up')) },
  ],
  [
    'a symbolic link on the disk only',
    '/run/immutafs/lower/lib/y is a symbolic link',
    {
      path: '/var/lib/y',
      files: { 'var/lib/y/file': '' },
      change: (at) => fs.symlinkSync('x', at('run/immutafs/lower/lib/y')),
    },
  ],
  [
    'a mount point',
    '/var/lib/x is a mount point already (tmpfs)',
    { mounts: [mount(9, '0:9', '/var/lib/x', { ...tmpfs, parent: 4 })] },
  ],
  [
    'a bind mount of another directory',
    '/var/lib/x is a mount point already (ext4)',
    { mode: 'maintenance', mounts: [mount(9, '252:0', '/var/lib/x', { root: '/var/lib/z' })] },
  ],
  [
    'a mount point below it',
    '/var/lib/x/a, below this path, is a mount point',
    { mounts: [mount(9, '0:9', '/var/lib/x/a', { ...tmpfs, parent: 4 })] },
  ],
  [
    'a tmpfs',
    '/srv/x is on /srv (tmpfs), not on a disk',
    { path: '/srv/x', mounts: [mount(9, '0:9', '/srv', tmpfs)] },
  ],
  ['the disk of the store', '/data/x is on the disk of PERSIST_STORE and kept already', { path: '/data/x' }],
  [
    'an overlay of another program',
    '/srv is an overlay that immutafs did not mount',
    { path: '/srv/x', mounts: [mount(9, '0:9', '/srv', { type: 'overlay', more: ',lowerdir=/srv' })] },
  ],
  [
    'another writable disk',
    '/srv/x is on the writable disk vdd and kept already',
    { path: '/srv/x', mounts: [mount(9, '252:48', '/srv')] },
  ],
] as const satisfies readonly (readonly [string, string, Case])[]) {
  refusals(`${title}: ${reason}`, () => {
    const record = keep(given);
    assert.match(record, /^STATE=failed\nREASON=.+\nREMEDY=.+\n$/);
    assert.ok(record.includes(reason), record);
  });
}
refusals.run();
