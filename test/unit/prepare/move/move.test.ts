import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exportedPaths, findBacking } from '../../../../agent/prepare/move/backing.ts';
import { parseMounts, placesOf, readNamespaces, unitOf } from '../../../../agent/prepare/move/namespaces.ts';
import {
  attributeNotes,
  capacityOf,
  foreignNames,
  installHint,
} from '../../../../agent/prepare/move/requirements.ts';
import { renameInStore } from '../../../../agent/prepare/move/moving.ts';
import type { Context } from '../../../../agent/prepare/engine/context.ts';
import type { SystemReader } from '../../../../agent/system/reader.ts';
import { deviceNumber, shownPath } from '../../../../agent/prepare/move/region.ts';
import { byLines, unescapeName } from '../../../../agent/prepare/move/copy.ts';
import { withGuest } from '../../../harness/guest.ts';
import { folder, namespaces, root, volume } from '../../../harness/namespaces.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { type Files, guestWith } from '../../../harness/step-table.ts';

const store = suite('prepare: the directory in the store');
store('a rename is on the disk before anything else happens', async () => {
  const calls: string[] = [];
  const runAlways: Context['run'] = (program, args) => {
    calls.push([program, ...args].join(' '));
    return Promise.resolve('');
  };
  await renameInStore({ runAlways } as Context, '/data/seeding:app', '/data/app');
  assert.equal(calls, ['/usr/bin/mv -T /data/seeding:app /data/app', '/usr/bin/sync']);
});
store.run();

const backing = suite('prepare: what the kernel has open in /home');
/** Returns the first parts of the sentences about a guest with these files and mounts. */
async function backingOf(files: Files, table = root): Promise<string[]> {
  const found = await withGuest(guestWith(files), (reader) => findBacking(reader, namespaces(folder, table)));
  return found.map((sentence) => sentence.split(/[,:]/)[0] ?? '');
}
const swapsOf = (...files: string[]) =>
  `Filename\tType\tSize\tUsed\tPriority\n${files.map((file) => `${file} file 1 0 -2\n`).join('')}`;
backing(
  'loop devices, swap files, overlays, stacked file systems and NFS exports are named; others are not',
  async () => {
    const files = {
      'proc/swaps': swapsOf('/home/swap', '/var/swap'),
      'sys/block/loop0/loop/backing_file': '/home/alice/image\n',
      'sys/block/loop1/loop/backing_file': '/var/image\n',
      'sys/block/loop2/loop/backing_file': '/home/gone (deleted)\n',
      ...{ 'home/alice/image': '', 'var/image': '', 'home/swap': '', 'var/swap': '' },
      'var/lib/nfs/etab': '/home/alice *(rw)\n/var/ftp *(rw)\n/ *(ro)\n',
      'etc/exports': '/home/bob *(rw)\n',
    };
    const table = `${root}
    62 60 0:70 / /srv/o rw - overlay o rw,lowerdir=/etc:/home/lower,upperdir=/var/u,workdir=/home/work
    63 60 0:71 / /srv/e rw - ecryptfs /home/.secret rw
    64 60 0:72 / /srv/n rw - nfs4 server:/home rw`;
    assert.equal(await backingOf(files, table), [
      '/dev/loop0 has its content in /home/alice/image',
      '/home/swap is in use as swap',
      'the overlay on /srv/o uses /home/lower',
      'the overlay on /srv/o uses /home/work',
      'the ecryptfs on /srv/e uses /home/.secret',
      '/home/alice is exported by NFS',
      '/ is exported by NFS',
    ]);
  },
);
backing('an entry of /etc/exports that is not exported counts while the server runs', async () => {
  const files = {
    'etc/exports': '/home/bob *(rw)\n',
    'etc/exports.d/more.exports': '"/home/with blank" *(rw)\n',
    'proc/fs/nfsd/threads': '8\n',
  };
  assert.equal(await backingOf(files), [
    '/home/bob is exported by NFS',
    '/home/with blank is exported by NFS',
  ]);
});
backing('paths below a new /home are not those of the old one; an export of / still has it', async () => {
  const files = { 'proc/swaps': swapsOf('/home/swap'), 'var/lib/nfs/etab': '/home/alice *(rw)\n/ *(rw)\n' };
  const table = `${root}
    61 60 253:0 /home /home ro - xfs r rw
    62 61 252:16 / /home rw - xfs /dev/vdb rw
    63 60 0:70 / /srv/o rw - overlay o rw,lowerdir=/etc,upperdir=/home/u,workdir=/home/w`;
  assert.equal(await backingOf(files, table), ['/ is exported by NFS']);
});
backing('exports(5)', () => {
  const text = '# /no\n/a *(rw)\n  /b/ 192.0.2.1 \\\n  /not\n"/c d" *\n/e\\040f *(ro)\n-options\nnone\n/\n';
  assert.equal(exportedPaths(text), ['/a', '/b', '/c d', '/e f', '/']);
});
backing.run();

const move = suite('prepare: parts of a move');
move('names with blanks, and another root', () => {
  const [mount] = parseMounts('62 60 253:0 /home/a\\040b /srv/a\\040b rw - xfs x rw', '/chroot');
  assert.equal([mount?.root, mount?.target], ['/home/a b', '/chroot/srv/a b']);
});
move('places of a path in the file system', () => {
  const { own } = namespaces(folder, `${root}\n62 60 253:0 /home/alice /srv/a rw - xfs x rw`);
  const inside = (path: string) => placesOf(own, path);
  assert.equal(inside('/srv/a/x/y'), ['/home/alice/x/y']);
  assert.equal(inside('/srv/ab'), ['/srv/ab']);
  assert.equal(inside('/'), ['/']);
});
move('a namespace without a process is found where it is mounted', async () => {
  const guest = ordinaryGuest();
  guest.mounts['kept'] = '0:4 mnt:[4026532181] /run/kept rw - nsfs nsfs rw';
  guest.mounts['used'] = '0:4 mnt:[4026531840] /run/used rw - nsfs nsfs rw';
  guest.files['proc/self/ns/mnt'] = { linkTo: 'mnt:[4026531840]' };
  await withGuest(guest, (reader) => assert.equal(readNamespaces(reader, folder).kept, ['/run/kept']));
});
for (const [cgroup, service] of [
  ['0::/system.slice/acme.service/child', 'acme.service'],
  ['0::/machine.slice/libpod-1.scope/system.slice/sshd.service', undefined],
] as const) {
  move(`the service of a process in ${cgroup}`, () =>
    withGuest(guestWith({ 'proc/900/cgroup': `${cgroup}\n` }), (reader) =>
      assert.is(unitOf(reader, 900), service),
    ),
  );
}
move('directories of another file system, with any name', () => {
  const found = foreignNames('41 /home/sub\x0042 /home/a\nb\x00');
  assert.is(found.length, 2);
  assert.match(found[0] ?? '', /^\/home\/sub is a file system of its own/);
  assert.match(found[1] ?? '', '/home/a\nb is a file system');
  assert.equal(foreignNames(''), []);
});
move('attributes that the file system sets itself are not named', () => {
  const noteOf = (lines: string) => attributeNotes(lines, '/home')[0] ?? '';
  assert.is(noteOf('--------------e------- /home/a\n----------I---e------- /home/d\n'), '');
  const note = noteOf('----i---------e------- /home/a b\n-----a---------------- /home/log\n');
  assert.match(note, '/home/a b (immutable), /home/log (append-only). ');
});
move('a path in the file system becomes a path below /home', () => {
  assert.is(shownPath(volume, '/alice'), '/home/alice');
  assert.is(shownPath(folder, '/home/alice'), '/home/alice');
});
move('device numbers of stat(2)', () => {
  assert.is(deviceNumber('64769'), '253:1');
  assert.is(deviceNumber(String((8n << 8n) | (0x300n << 12n) | 5n)), '8:773');
});
move('lines that arrive in any chunks', () => {
  const lines: string[] = [];
  const feed = byLines((each) => lines.push(each), /[\r\n]/);
  for (const part of ['ab', 'c\rde\n\n', 'f', '\r']) feed(part);
  assert.equal(lines, ['abc', 'de', 'f']);
});
move('escaped names', () => {
  assert.is(unescapeName('with\\#012newline'), 'with\nnewline');
  assert.is(unescapeName('caf\\#303\\#251/plain \\#134#101'), 'caf\xc3\xa9/plain \\#101');
});
move('capacity of a disk', () => {
  assert.is(capacityOf(0), 0);
  assert.ok(capacityOf(1024 ** 3) < 1024 ** 3 * 0.9 && capacityOf(1024 ** 4) > 1024 ** 4 * 0.95);
});
for (const [managers, expected] of [
  [['dnf', 'yum'], 'run `dnf install attr`'],
  [['yum'], 'run `yum install attr`'],
  [['apt-get'], 'run `apt-get install attr`'],
  [['zypper'], 'install the package attr'],
] as const) {
  move(managers.join(), () => {
    const stat = (file: string) => (managers.some((each) => file === `/usr/bin/${each}`) ? {} : undefined);
    assert.is(installHint({ stat } as unknown as SystemReader, 'attr'), expected);
  });
}
move.run();
