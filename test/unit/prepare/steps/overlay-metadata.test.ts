/** Tests the search for overlayfs metadata in the disk's /var with the output of find(1) and read-xattrs. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Ended } from '../../../../agent/system/reader.ts';
import type { Guest } from '../../../harness/guest.ts';
import { type Files, guestWith, tableOf } from '../../../harness/step-table.ts';
import { planned } from '../../../harness/planned.ts';

const good = (stdout: string): Ended => ({ stdout, ended: 'good' });
const failed = (ended: Ended['ended'], stdout = ''): Ended => ({ stdout, ended });
interface Found {
  /** The records of stat(1) for device files and set-user-ID programs, and those of read-xattrs. */
  search?: Ended;
  files?: Files;
  mounts?: Guest['mounts'];
  searched?: string[];
}

function guestOf({ search, files = {}, mounts = {}, searched = [] }: Found): Guest {
  const guest = guestWith(files);
  Object.assign(guest.mounts, mounts);
  guest.answers.run = (program, args) => {
    if (program !== '/usr/bin/find') return undefined;
    searched.push(args[0] ?? '');
    assert.ok(args.includes('-xdev'), 'never into another file system');
    return search;
  };
  return guest;
}

const whiteout = (path: string) => `0:0 2190 ${path}\0`;
const none = '5:1 2190 /var/lib/x/console\0' + '0:0 89ed /var/lib/x/program\0';
const many = Array.from({ length: 7 }, (_, index) => whiteout(`/var/w/${index}`)).join('');
const layers = '/var/lib/docker/overlay2';
/** A container store with metadata, and a configuration. */
const store = (config: string): Found => ({
  search: good(`${whiteout(`${layers}/a/diff/x`)}${layers}/a/diff/z\0${whiteout(`${layers}/b/diff/y`)}`),
  files: { [`${layers.slice(1)}/a/diff/z`]: '', 'etc/immutafs/immutafs.conf': `${config}\n` },
});
const device = 'SCRATCH_DEVICE=/dev/disk/by-id/virtio-scratch';
tableOf(guestOf)('findOverlayMetadata', 'var', {
  'done: none': [{ search: good(none) }],
  'by hand: a whiteout': [
    { search: good(none + whiteout('/var/www/a b')) },
    /^\/var\/www\/a b: character devices 0:0/,
  ],
  'by hand: many': [{ search: good(many) }, /\/var\/w\/4 and 2 more: character/],
  'by hand: an attribute': [
    { search: good('/var/www/a\nb\0/var/www/html\0') },
    /^\/var\/www\/a\nb, \/var\/www\/html: trusted\.overlay attributes.*setfattr/,
  ],
  'by hand: the search fails': [
    { search: failed('bad', '/var/a\0') },
    /have whiteouts or overlayfs attributes: the search failed/,
  ],
  'by hand: the search times out': [{ search: failed('deadline') }, /within 120 s.*find \/var/],
  'by hand: more than 16 MiB of names of whiteouts': [
    { search: good(whiteout(`/var/${'x'.repeat(17 * 1024 ** 2)}`)) },
    /have whiteouts: their names take more than 16 MiB/,
  ],
  'by hand: more than 16 MiB of names of files with attributes; the whiteouts are named': [
    { search: good(`${whiteout('/var/w')}/var/${'x'.repeat(17 * 1024 ** 2)}\0`) },
    /^\/var\/w: character .* have overlayfs attributes: their names take more than 16 MiB/,
  ],
  'by hand: the program that removes attributes is to be installed': [
    { search: good('/var/a\0'), files: { 'usr/bin/yum': '' } },
    /FILE` \(first run `yum install attr`\)\./,
  ],
  'by hand: the program that removes attributes is installed': [
    { search: good('/var/a\0'), files: { 'usr/bin/setfattr': '' } },
    /setfattr -h -x NAME FILE`\./,
  ],
  'by hand: in a container store, it is counted, not listed': [
    store(''),
    /\/var\/lib\/docker has 2 whiteouts .* and 1 files with(?!.*overlay2)/,
  ],
  'done: a container store in SCRATCH with empty': [store(`SCRATCH=/var/lib/docker:empty\n${device}`)],
  'by hand: a container store in SCRATCH with an overlay': [store(`SCRATCH=/var/lib/docker\n${device}`)],
  'done: a container store in PERSIST': [
    store('PERSIST=/var/lib/docker:autostart,exec\nPERSIST_STORE=/data/store'),
  ],
});

const metadata = suite('findOverlayMetadata: where');
const below = {
  log: '253:0 /log /var/log rw - xfs /dev/mapper/rhel-root rw',
  data: '252:16 /d /var/data rw - xfs /dev/vdb rw',
  merged: '0:70 / /var/lib/docker/m rw - overlay x rw,lowerdir=/l',
  tmp: '0:71 / /var/tmp rw - tmpfs x rw',
};
for (const [title, mounts, expected] of [
  ['file systems below /var are searched only if they get a layer', below, ['/var', '/var/log']],
  ['a /var on a disk that stays writable is not', { own: '252:16 /v /var rw - xfs /dev/vdb rw' }, []],
] as const) {
  metadata(title, async () => {
    const searched: string[] = [];
    await planned(guestOf({ mounts, searched }), 'var');
    assert.equal(searched, [...expected]);
  });
}
metadata.run();
