/**
 * Tests which mounts in any namespace lead to the old /home. test/system/prepare-home-reach.test.ts uses real mounts.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findBacking } from '../../../../agent/prepare/move/backing.ts';
import { readNamespaces } from '../../../../agent/prepare/move/namespaces.ts';
import { findReaches, judgeReaches } from '../../../../agent/prepare/move/users.ts';
import { withGuest } from '../../../harness/guest.ts';
import { folder, namespaces, root, volume } from '../../../harness/namespaces.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { type Files, guestWith } from '../../../harness/step-table.ts';

const reach = suite('prepare: ways to /home');
/** Title, tables of mounts by namespace, what is in the way, what shows the old files and cannot write to them. */
type Row = [title: string, tables: string[], obstacles?: string[], stale?: string[]];
const onFolder: Row[] = [
  ['nothing but the mount itself', [root]],
  ['a bind mount', [`${root}\n62 60 253:0 /home/alice /srv/a rw shared:1 - xfs x rw`], ['/srv/a']],
  ['/homes is another directory', [`${root}\n62 60 253:0 /homes/a /srv/a rw - xfs x rw`]],
  ['another file system', [`${root}\n62 60 8:1 /home/alice /srv/a rw - xfs x rw`]],
  ['the same directory, a peer', [`${root}\n62 60 253:0 /home /srv/h rw shared:1 - xfs x rw`]],
  ['the same directory, private', [`${root}\n62 60 253:0 /home /srv/h rw - xfs x rw`], ['/srv/h']],
  ['a namespace that receives mounts', [root, '70 2 253:0 / / rw master:1 - xfs r rw']],
  [
    'one that receives them from such a one',
    [root, '70 2 253:0 / / rw shared:5 master:1 - xfs r rw', '80 3 253:0 / / rw master:5 - xfs r rw'],
  ],
  ['one that does not', [root, '70 2 253:0 / / rw - xfs r rw'], ['/home']],
  ['one that receives from another group', [root, '70 2 253:0 / / rw master:9 - xfs r rw'], ['/home']],
  [
    'one in which /home is covered (ProtectHome=yes)',
    [root, '70 2 253:0 / / rw - xfs r rw\n71 70 0:9 / /home ro - tmpfs t ro'],
  ],
  [
    'one in which it is read-only (ProtectHome=read-only)',
    [root, '70 2 253:0 / / rw master:1 - xfs r rw\n71 70 253:0 /home /home ro - xfs r rw'],
    [],
    ['/home'],
  ],
  [
    'and partly not (ReadWritePaths=)',
    [
      root,
      '70 2 253:0 / / rw master:1 - xfs r rw\n71 70 253:0 /home /home ro - xfs r rw\n72 71 253:0 /home/app /home/app rw - xfs r rw',
    ],
    ['/home/app'],
    ['/home'],
  ],
  [
    'a container with a volume',
    [root, '70 2 0:50 / / rw - overlay o rw\n71 70 253:0 /home/bob /data rw - xfs r rw'],
    ['/data'],
  ],
  [
    'the copies of a bind mount in other namespaces go with it',
    [
      `${root}\n62 60 253:0 /home/alice /srv/a rw shared:7 - xfs x rw`,
      '70 2 253:0 / / rw master:1 - xfs r rw\n71 70 253:0 /home/alice /srv/a rw master:7 - xfs r rw',
    ],
    ['/srv/a'],
  ],
];
const own = `${root}\n61 60 253:1 / /home rw shared:2 - xfs /dev/b rw`;
const onVolume: Row[] = [
  ['/home on a volume', [own]],
  ['a directory of the volume', [`${own}\n62 60 253:1 /bob /srv/b ro - xfs b rw`], ['/srv/b']],
];
for (const [region, id, rows] of [
  [folder, 60, onFolder],
  [volume, 61, onVolume],
] as const)
  for (const [title, tables, obstacles = [], stale = []] of rows)
    reach(title, () => {
      const judged = judgeReaches(namespaces(region, ...tables), id);
      assert.equal(
        [judged.obstacles, judged.stale].map((each) => each.map(({ path }) => path)),
        [obstacles, stale],
      );
    });
reach('a read-only view on /home: mounts that the view does not cover can be written to', () => {
  const frozen = `${root}\n63 60 253:0 /home /home ro shared:1 - xfs x rw`;
  const writable = (...tables: string[]) =>
    findReaches(namespaces(folder, ...tables))
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
/** Returns the files of a process in a mount namespace. @param chroot its root directory */
const processFiles = (pid: number | 'self', name: string, chroot: string, ...lines: string[]) => ({
  [`proc/${pid}/ns/mnt`]: { linkTo: `mnt:[${name}]` },
  [`proc/${pid}/root`]: { linkTo: chroot },
  [`proc/${pid}/mountinfo`]: `${lines.join('\n')}\n`,
});
reach(
  'every root in a namespace counts; of a mount in several tables, the own or the first one',
  async () => {
    const alice = (target: string, how: string) => `62 60 253:0 /home/alice ${target} ${how} - xfs x rw`;
    const bob = (target: string, how: string) => `72 70 253:0 /home/bob ${target} ${how} - xfs x rw`;
    const tmp = (target: string) => `73 72 0:9 / ${target} rw - tmpfs t rw`;
    const pids = Array.from({ length: 50 }, (_, index) => 1000 + index);
    const files = [
      processFiles('self', 'own', '/', root, alice('/srv/a', 'ro')),
      processFiles(900, 'own', '/srv', alice('/a', 'rw'), '63 62 0:9 / /a rw - tmpfs t rw'),
      processFiles(901, 'other', '/', '70 2 0:8 / / rw - overlay o rw,lowerdir=/l', bob('/srv/b', 'ro')),
      processFiles(902, 'other', '/srv', bob('/b', 'rw'), tmp('/b/c')),
      ...pids.map((pid) => {
        const line = `${pid} 70 253:0 /home/u${pid} / rw - xfs x rw`;
        const overlay = `${pid + 100} 70 0:7 / /o rw - overlay o rw,upperdir=/u${pid}`;
        return processFiles(
          pid,
          'other',
          `/c/${pid}`,
          bob('/b', 'rw'),
          line,
          overlay,
          `${pid + 200} 9 0:9 / /n rw - tmpfs t rw`,
        );
      }),
    ];
    await withGuest(guestWith(Object.assign({}, ...files) as Files), (reader) => {
      const found = readNamespaces(reader, folder);
      assert.equal(
        findReaches(found).map(({ path, mount }) => [path, mount.writable]),
        [['/home', true], ['/srv/b', false], ...pids.map((pid) => [`/c/${pid}`, true])],
      );
      assert.equal(
        found.all.map(({ pid, backed }) => [pid === process.pid || pid, backed.map(({ path }) => path)]),
        [
          [true, []],
          [901, ['/l', ...pids.map((pid) => `/u${pid}`)]],
        ],
      );
      assert.is(found.all[1]?.covers.has('72 /srv/b/c'), true);
      assert.equal(
        [60, 62, 63, 70, 72, 73, 1249].filter((id) => !found.ids.has(id)),
        [],
      );
    });
  },
);
for (const [title, line] of [
  ['bind mounts of /home', (n: number) => `${n} 60 253:0 /home/u${n} /srv/${n} rw shared:${n} - xfs x rw`],
  ['bind mounts of the root', (n: number) => `${n} 60 253:0 / /srv/${n} rw shared:${n} - xfs x rw`],
  ['a stack', (n: number) => `${n} ${n === 100 ? 60 : n - 1} 253:0 /home /srv rw shared:${n} - xfs x rw`],
  ['overlays', (n: number) => `${n} 60 0:${n} / /srv/${n} rw - overlay o rw,lowerdir=/a:/b,upperdir=/c/${n}`],
] as const) {
  reach(`20,000 mounts take at most 3 s of CPU time: ${title}, in two namespaces`, async () => {
    const text = `${root}\n${Array.from({ length: 20_000 }, (_, index) => line(index + 100)).join('\n')}`;
    await withGuest(ordinaryGuest(), async (reader) => {
      const began = process.cpuUsage();
      const all = namespaces(folder, text, text);
      judgeReaches(all, 60);
      findReaches(all);
      await findBacking(reader, all);
      const { user, system } = process.cpuUsage(began);
      assert.ok(user + system < 3e6, `${user + system} µs`);
    });
  });
}
reach.run();
