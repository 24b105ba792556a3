import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findLayers, whyNoLayer } from '../../../agent/changes/layers.ts';
import { originInode } from '../../../agent/changes/walk/overlay-xattrs.ts';
import { type BootEnv, parseBootEnv } from '../../../agent/facts/boot/boot-env.ts';
import type { Disk } from '../../../agent/facts/disks/disks.ts';
import { mountTable } from '../../../agent/facts/mounts/mountinfo.ts';
import { SystemError } from '../../../agent/lib/errors.ts';

const record = (mode: string, ...layers: string[]): { value: BootEnv } => ({
  value: parseBootEnv(
    [
      'VERSION=1',
      'STAGE=late',
      'UPTIME=1',
      `MODE=${mode}`,
      'REASON=x',
      'DISKS=x',
      'VAR=overlay',
      ...layers,
    ].join('\n'),
  ),
});
const base = [
  '1 1 8:1 / / ro - xfs /dev/vda ro',
  '2 1 0:2 / /run rw - tmpfs tmpfs rw',
  '3 2 0:3 / /run/var rw - tmpfs immutafs rw',
  '4 2 8:1 /var /run/immutafs/lower ro - xfs /dev/vda ro',
  '5 1 0:5 / /var rw - overlay immutafs rw,lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work',
];
const find = (lines: readonly string[], boot: Parameters<typeof findLayers>[1] = record('sealed')) =>
  findLayers(mountTable(lines.map((line) => `${line}\n`).join('')), boot, false, '253:9');
const targets = (lines: readonly string[]) =>
  find(lines).layers.map(({ target, upper, lower }) => [target, upper, lower]);
const problems = (...more: string[]) => find([...base, ...more]).layers.flatMap((layer) => layer.problems);

const layers = suite('layers');
layers('the overlay on /var, also with bind mounts of a part of it', () => {
  const part =
    '6 5 0:5 /tmp /var/tmp rw - overlay immutafs rw,lowerdir=/run/immutafs/lower,upperdir=/run/var/upper';
  const expected = [['/var', '/run/var/upper', '/run/immutafs/lower']];
  assert.equal(targets([...base, part]), expected);
  assert.equal(targets([...base.slice(0, 4), part, ...base.slice(4)]), expected);
  assert.equal(problems(), []);
});
layers('other overlays, with escaped paths', () => {
  const other =
    '6 1 0:6 / /opt/a\\040b rw - overlay x rw,lowerdir=/lower\\040a\\134:b,upperdir=/up,workdir=/w';
  assert.equal(targets([...base, other])[0], ['/opt/a b', '/up', '/lower a:b']);
});
layers('an overlay with several lower layers is noted, a read-only one is not', () => {
  const of = (options: string) => find([...base, `6 1 0:6 / /merged rw - overlay x rw,${options}`]);
  for (const lower of ['lowerdir=/a:/b', 'lowerdir+=/a,lowerdir+=/b', 'lowerdir=/a,datadir+=/b']) {
    const found = of(`${lower},upperdir=/up,workdir=/w`);
    assert.is(found.layers.length, 1);
    assert.match(found.notes.join(), /^\/merged: not compared, because its overlay has 2 lower layers/);
  }
  assert.equal([of('lowerdir=/a').notes, of('lowerdir=/a').layers.length], [[], 1]);
});
layers('on SCRATCH_DEVICE, an overlay is compared, and a directory without one is noted', () => {
  const device = '253:9';
  const disk = `6 2 ${device} / /run/immutafs/scratch-disk rw - ext4 /dev/mapper/immutafs-scratch rw`;
  const store = `7 1 ${device} /srv=store/data /srv/store rw - ext4 /dev/mapper/immutafs-scratch rw`;
  const upper = '/run/immutafs/scratch-disk/var=cache/upper';
  const cache = `8 5 0:9 / /var/cache rw - overlay x rw,lowerdir=/run/immutafs/lower/cache,upperdir=${upper}`;
  const found = find([...base, disk, store, cache]);
  assert.equal(found.layers.at(-1), {
    ...{ target: '/var/cache', upper, lower: '/run/immutafs/lower/cache' },
    ...{ metacopy: false, problems: [], reachable: true },
  });
  assert.match(found.notes.join(), /^\/srv\/store: not compared, because SCRATCH /);
  const other = store.replace(device, '252:17');
  assert.equal(find([...base, disk, other, cache]).notes, [], 'the twin: another file system');
});
layers('an overlay that was unmounted is compared', () => {
  const { layers: found, notes } = find(
    base,
    record('sealed', 'LAYER=/var/log overlay', 'LAYER=/var/x failed'),
  );
  assert.equal(found.map(({ target, upper }) => [target, upper])[1], [
    '/var/log',
    '/run/var/below/var+log/upper',
  ]);
  assert.match(notes.join(), /\/var\/log: .*not mounted now/);
});
layers('metacopy is what the overlay uses', () => {
  const [own = ''] = base.slice(4);
  const metacopy = (options: string, byDefault: boolean) =>
    findLayers(
      mountTable([...base.slice(0, 4), `${own}${options}`].map((line) => `${line}\n`).join('')),
      record('sealed'),
      byDefault,
    ).layers[0]?.metacopy;
  assert.equal(
    [
      metacopy('', false),
      metacopy(',metacopy=on', false),
      metacopy('', true),
      metacopy(',metacopy=off', true),
    ],
    [false, true, true, false],
  );
});
for (const [title, mount] of [
  ['over the upper layer', '7 3 0:7 / /run/var/upper rw - tmpfs evil rw'],
  ['in the upper layer', '7 3 0:7 / /run/var/upper/lib rw - tmpfs evil rw'],
  ['over the tmpfs', '7 3 0:7 / /run/var rw - tmpfs evil rw'],
  ['over /run', '7 2 0:7 / /run rw - tmpfs evil rw'],
  ['over the lower layer', '7 4 0:7 / /run/immutafs/lower rw - tmpfs evil rw'],
  ['in the lower layer', '7 4 0:7 / /run/immutafs/lower/lib rw - tmpfs evil rw'],
] as const) {
  layers(`a mount ${title} is a problem`, () => assert.ok(problems(mount).length > 0));
}
layers('a mount beside the layers is no problem', () => {
  assert.equal(
    problems('7 5 0:7 / /var/lib/nfs rw - tmpfs x rw', '8 1 0:8 / /home rw - xfs /dev/vdb rw'),
    [],
  );
});
layers('an overlay over its own lower layer cannot be compared', () => {
  const [, own] = find([
    ...base,
    '6 1 0:6 / /etc rw - overlay x rw,lowerdir=/etc,upperdir=/up,workdir=/w',
  ]).layers.toSorted((a, b) => (a.target > b.target ? -1 : 1));
  assert.equal([own?.target, own?.reachable], ['/etc', false]);
  assert.match(own?.problems.join() ?? '', /its own lower layer/);
});
layers('a malformed boot.env is a problem', () => {
  assert.match(find(base, { error: 'broken', code: '' }).problems.join(), /boot\.env: broken/);
});
const disk = (readOnly: boolean): { value: Disk[] } => ({
  value: [
    {
      ...{ name: 'vda', bus: 'virtio-blk', serial: null, holds: ['/'] },
      readOnly,
      hostReadOnly: readOnly,
      evidence: '',
    },
  ],
});
layers('without a layer: a message in maintenance mode and off, an error if sealed or unknown', () => {
  const unread = { error: 'x', code: '' };
  for (const [boot, disks, expected] of [
    [record('maintenance'), unread, /maintenance mode.*rpm -Va/],
    [record('off'), unread, /switched off/],
    // The package was installed after the boot.
    [{ value: undefined }, disk(false), /maintenance mode/],
    [{ value: undefined }, disk(true), undefined],
    [{ value: undefined }, unread, undefined],
    [record('sealed'), disk(false), undefined],
    [unread, disk(false), undefined],
  ] as const) {
    const why = () => whyNoLayer(boot, () => disks);
    if (expected !== undefined) assert.match(why(), expected);
    else assert.throws(why, (error: unknown) => error instanceof SystemError);
  }
});
layers.run();

/** The forms of struct ovl_fb (fs/overlayfs/overlayfs.h) with the handles of exportfs.h. */
const origins = suite('trusted.overlay.origin');
const handle = (type: number, fid: Buffer) =>
  Buffer.concat([Buffer.from([0, 0xfb, 21 + fid.length, 0, type]), Buffer.alloc(16), fid]).toString('latin1');
const words = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
for (const [title, value, expected] of [
  ['ext4', handle(1, words(77, 5)), 77n],
  ['tmpfs', handle(1, words(5, 77, 1)), 0x1_0000_004dn],
  ['XFS', handle(0x81, words(77, 1, 5)), 0x1_0000_004dn],
  ['another file system', handle(0x97, words(1, 2, 3)), undefined],
  ['a wrong length', `${handle(1, words(77, 5))}x`, undefined],
  ['nothing', '', undefined],
  ['big-endian', handle(1, words(77, 5)).replace(/^(...)./s, '$1\x01'), undefined],
] as const) {
  origins(title, () => assert.is(originInode(value), expected));
}
origins.run();
