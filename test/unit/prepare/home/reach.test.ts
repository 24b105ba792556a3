/** Which mounts, of whatever namespace, lead to the old /home. Real mounts: test/system/prepare-home-reach.test.ts. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exportedPaths, findBacking } from '../../../../agent/prepare/home/backing.ts';
import { parseTable } from '../../../../agent/prepare/home/mount-table.ts';
import {
  type Namespace,
  type Namespaces,
  placesOf,
  readNamespaces,
} from '../../../../agent/prepare/home/namespaces.ts';
import { findReaches, judgeReaches } from '../../../../agent/prepare/home/reach.ts';
import { type Region, deviceNumber, homePath } from '../../../../agent/prepare/home/region.ts';
import { withGuest } from '../../../harness/guest.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';

const folder: Region = { devices: new Set(['253:0']), root: '/home' };
const volume: Region = { devices: new Set(['253:1']), root: '/' };

/** Namespaces by their mount tables; the first one is ours. */
function namespaces(region: Region, ...tables: string[]): Namespaces {
  const all = tables.map((text, index): Namespace => {
    const lines = text.trim().replace(/^ +/gm, '');
    return { ...parseTable(lines, region, '/'), own: index === 0, pid: 100 + index, who: `p${index}` };
  });
  const [own] = all;
  if (own === undefined) throw new Error('no table');
  return { all, own, named: new Map(), ids: new Set(), byId: new Map(), kept: [] };
}

const root = '60 1 253:0 / / rw shared:1 - xfs /dev/mapper/rhel-root rw';
const reach = suite('prepare: ways to /home');
for (const [title, region, id, tables, obstacles, stale] of [
  ['nothing but the mount itself', folder, 60, [root], [], []],
  ['/home on a volume', volume, 61, [`${root}\n61 60 253:1 / /home rw shared:2 - xfs /dev/b rw`], [], []],
  [
    'a bind mount',
    folder,
    60,
    [`${root}\n62 60 253:0 /home/alice /srv/a rw shared:1 - xfs x rw`],
    ['/srv/a'],
    [],
  ],
  ['/homes is another directory', folder, 60, [`${root}\n62 60 253:0 /homes/a /srv/a rw - xfs x rw`], [], []],
  ['another file system', folder, 60, [`${root}\n62 60 8:1 /home/alice /srv/a rw - xfs x rw`], [], []],
  [
    'the same directory, a peer',
    folder,
    60,
    [`${root}\n62 60 253:0 /home /srv/h rw shared:1 - xfs x rw`],
    [],
    [],
  ],
  [
    'the same directory, private',
    folder,
    60,
    [`${root}\n62 60 253:0 /home /srv/h rw - xfs x rw`],
    ['/srv/h'],
    [],
  ],
  [
    'a volume’s directory',
    volume,
    61,
    [`${root}\n61 60 253:1 / /home rw shared:2 - xfs b rw\n62 60 253:1 /bob /srv/b ro - xfs b rw`],
    ['/srv/b'],
    [],
  ],
  ['a namespace that receives mounts', folder, 60, [root, '70 2 253:0 / / rw master:1 - xfs r rw'], [], []],
  [
    'one that receives them from such a one',
    folder,
    60,
    [root, '70 2 253:0 / / rw shared:5 master:1 - xfs r rw', '80 3 253:0 / / rw master:5 - xfs r rw'],
    [],
    [],
  ],
  ['one that does not', folder, 60, [root, '70 2 253:0 / / rw - xfs r rw'], ['/home'], []],
  [
    'one that receives from another group',
    folder,
    60,
    [root, '70 2 253:0 / / rw master:9 - xfs r rw'],
    ['/home'],
    [],
  ],
  [
    'one in which /home is covered (ProtectHome=yes)',
    folder,
    60,
    [root, '70 2 253:0 / / rw - xfs r rw\n71 70 0:9 / /home ro - tmpfs t ro'],
    [],
    [],
  ],
  [
    'one in which it is read-only (ProtectHome=read-only)',
    folder,
    60,
    [root, '70 2 253:0 / / rw master:1 - xfs r rw\n71 70 253:0 /home /home ro - xfs r rw'],
    [],
    ['/home'],
  ],
  [
    'and partly not (ReadWritePaths=)',
    folder,
    60,
    [
      root,
      '70 2 253:0 / / rw master:1 - xfs r rw\n71 70 253:0 /home /home ro - xfs r rw\n72 71 253:0 /home/app /home/app rw - xfs r rw',
    ],
    ['/home/app'],
    ['/home'],
  ],
  [
    'a container with a volume',
    folder,
    60,
    [root, '70 2 0:50 / / rw - overlay o rw\n71 70 253:0 /home/bob /data rw - xfs r rw'],
    ['/data'],
    [],
  ],
  [
    'the copies of a bind mount in other namespaces go with it',
    folder,
    60,
    [
      `${root}\n62 60 253:0 /home/alice /srv/a rw shared:7 - xfs x rw`,
      '70 2 253:0 / / rw master:1 - xfs r rw\n71 70 253:0 /home/alice /srv/a rw master:7 - xfs r rw',
    ],
    ['/srv/a'],
    [],
  ],
] as const) {
  reach(title, () => {
    const judged = judgeReaches(namespaces(region, ...tables), region, id);
    assert.equal(
      [judged.obstacles, judged.stale].map((each) => each.map(({ path }) => path)),
      [obstacles, stale],
    );
  });
}
reach('what can be written to when a read-only view is on /home: whatever the view does not cover', () => {
  const frozen = `${root}\n63 60 253:0 /home /home ro shared:1 - xfs x rw`;
  const writable = (...tables: string[]) =>
    findReaches(namespaces(folder, ...tables), folder)
      .filter(({ mount }) => mount.writable)
      .map(({ path }) => path);
  assert.equal(
    writable(frozen, '70 2 253:0 / / rw master:1 - xfs r rw\n71 70 253:0 /home /home ro - xfs r rw'),
    [],
  );
  assert.equal(writable(frozen, '70 2 253:0 / / rw - xfs r rw'), ['/home']);
  assert.equal(writable(`${frozen}\n64 60 253:0 / /mnt rw - xfs x rw`), ['/mnt/home']);
  assert.equal(writable(`${frozen}\n64 60 253:0 / /mnt rw - xfs x ro`), [], 'the file system is read-only');
  assert.equal(
    writable(`${frozen}\n64 60 253:0 / /run/immutafs/prepare/system rw - xfs x rw`),
    [],
    'our own',
  );
});
reach('names with blanks, and another root', () => {
  const { mounts } = parseTable('62 60 253:0 /home/a\\040b /srv/a\\040b rw - xfs x rw', folder, '/chroot');
  assert.equal([mounts[0]?.root, mounts[0]?.target], ['/home/a b', '/chroot/srv/a b']);
});
reach('places of a path', () => {
  const { own } = namespaces(folder, `${root}\n62 60 253:0 /home/alice /srv/a rw - xfs x rw`);
  const inside = (path: string) => placesOf(own, path).map((place) => place.inside);
  assert.equal(inside('/srv/a/x/y'), ['/home/alice/x/y']);
  assert.equal(inside('/srv/ab'), ['/srv/ab']);
  assert.equal(inside('/'), ['/']);
  assert.is(homePath(volume, '/alice'), '/home/alice');
  assert.is(homePath(folder, '/home/alice'), '/home/alice');
});
reach('device numbers as stat(2) has them', () => {
  assert.is(deviceNumber('64769'), '253:1');
  assert.is(deviceNumber(String((8n << 8n) | (0x300n << 12n) | 5n)), '8:773');
});
reach('a namespace that is kept without a process is found', async () => {
  const guest = ordinaryGuest();
  guest.mounts['kept'] = '0:4 mnt:[4026532181] /run/kept rw - nsfs nsfs rw';
  guest.mounts['used'] = '0:4 mnt:[4026531840] /run/used rw - nsfs nsfs rw';
  guest.files['proc/self/ns/mnt'] = { linkTo: 'mnt:[4026531840]' };
  await withGuest(guest, (reader) => assert.equal(readNamespaces(reader, folder).kept, ['/run/kept']));
});
for (const [title, line] of [
  ['bind mounts of /home', (n: number) => `${n} 60 253:0 /home/u${n} /srv/${n} rw shared:${n} - xfs x rw`],
  ['bind mounts of the root', (n: number) => `${n} 60 253:0 / /srv/${n} rw shared:${n} - xfs x rw`],
  ['a stack', (n: number) => `${n} ${n === 100 ? 60 : n - 1} 253:0 /home /srv rw shared:${n} - xfs x rw`],
  ['overlays', (n: number) => `${n} 60 0:${n} / /srv/${n} rw - overlay o rw,lowerdir=/a:/b,upperdir=/c/${n}`],
] as const) {
  reach(`20,000 mounts take no more than seconds: ${title}, in two namespaces`, async () => {
    const text = `${root}\n${Array.from({ length: 20_000 }, (_, index) => line(index + 100)).join('\n')}`;
    await withGuest(ordinaryGuest(), async (reader) => {
      const began = performance.now();
      const all = namespaces(folder, text, text);
      judgeReaches(all, folder, 60);
      findReaches(all, folder);
      await findBacking(reader, folder, all);
      const took = performance.now() - began;
      assert.ok(took < 3000, `${took} ms`);
    });
  });
}
reach.run();

const backing = suite('prepare: what the kernel has open below /home');
backing(
  'loop devices, swap files, overlays, stacked file systems and NFS exports are named; others are not',
  () => {
    const guest = ordinaryGuest();
    guest.files['proc/swaps'] =
      'Filename\tType\tSize\tUsed\tPriority\n/home/swap file 1 0 -2\n/var/swap file 1 0 -3\n';
    guest.files['sys/block/loop0/loop/backing_file'] = '/home/alice/image\n';
    guest.files['sys/block/loop1/loop/backing_file'] = '/var/image\n';
    guest.files['sys/block/loop2/loop/backing_file'] = '/home/gone (deleted)\n';
    for (const file of ['home/alice/image', 'var/image', 'home/swap', 'var/swap']) guest.files[file] = '';
    guest.files['var/lib/nfs/etab'] = '/home/alice *(rw)\n/var/ftp *(rw)\n/ *(ro)\n';
    guest.files['etc/exports'] = '/home/bob *(rw)\n';
    const table = `${root}
    62 60 0:70 / /srv/o rw - overlay o rw,lowerdir=/etc:/home/lower,upperdir=/var/u,workdir=/home/work
    63 60 0:71 / /srv/e rw - ecryptfs /home/.secret rw
    64 60 0:72 / /srv/n rw - nfs4 server:/home rw`;
    return withGuest(guest, async (reader) => {
      const found = await findBacking(reader, folder, namespaces(folder, table));
      assert.equal(
        found.map((sentence) => sentence.split(/[,:]/)[0]),
        [
          '/dev/loop0 has its content in /home/alice/image',
          '/home/swap is in use as swap',
          'the overlay on /srv/o uses /home/lower',
          'the overlay on /srv/o uses /home/work',
          'the ecryptfs on /srv/e uses /home/.secret',
          '/home/alice is exported by NFS',
          '/ is exported by NFS',
        ],
      );
    });
  },
);
backing('what is only written into /etc/exports counts while the server runs', () => {
  const guest = ordinaryGuest();
  guest.files['etc/exports'] = '/home/bob *(rw)\n';
  guest.files['etc/exports.d/more.exports'] = '"/home/with blank" *(rw)\n';
  guest.files['proc/fs/nfsd/threads'] = '8\n';
  return withGuest(guest, async (reader) => {
    const found = await findBacking(reader, folder, namespaces(folder, root));
    assert.equal(
      found.map((sentence) => sentence.split(' is exported')[0]),
      ['/home/bob', '/home/with blank'],
    );
  });
});
backing('paths below a new /home are not those of the old one; an export of / still has it', () => {
  const guest = ordinaryGuest();
  guest.files['proc/swaps'] = 'Filename\tType\tSize\tUsed\tPriority\n/home/swap file 1 0 -2\n';
  guest.files['var/lib/nfs/etab'] = '/home/alice *(rw)\n/ *(rw)\n';
  const table = `${root}
    61 60 253:0 /home /home ro - xfs r rw
    62 61 252:16 / /home rw - xfs /dev/vdb rw
    63 60 0:70 / /srv/o rw - overlay o rw,lowerdir=/etc,upperdir=/home/u,workdir=/home/w`;
  return withGuest(guest, async (reader) => {
    const found = await findBacking(reader, folder, namespaces(folder, table));
    assert.equal(
      found.map((sentence) => sentence.split(' is exported')[0]),
      ['/'],
    );
  });
});
backing('exports(5)', () => {
  const text = '# /no\n/a *(rw)\n  /b/ 192.0.2.1 \\\n  /not\n"/c d" *\n/e\\040f *(ro)\n-options\nnone\n/\n';
  assert.equal(exportedPaths(text), ['/a', '/b', '/c d', '/e f', '/']);
});
backing.run();
