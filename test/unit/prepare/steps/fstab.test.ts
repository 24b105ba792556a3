import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Step } from '../../../../agent/prepare/engine/step.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { planned } from '../../../harness/planned.ts';

const folder = path.join(import.meta.dirname, '../../../fixtures/fstab');
const read = (name: string) => fs.readFileSync(path.join(folder, name), 'latin1');

/** Links from UUIDs to devices. */
const uuids = {
  '0b9d5c3a-6d5e-4f4b-9d5e-0d1a5b6c7d8e': 'vda1',
  '7B77-95E7': 'vda2',
  'a1a1a1a1-0000-4000-8000-000000000001': 'dm-0',
  'a1a1a1a1-0000-4000-8000-000000000005': 'dm-2',
  'a1a1a1a1-0000-4000-8000-000000000006': 'dm-1',
};

function guestWith(fstab: string) {
  const guest = ordinaryGuest();
  const links = Object.entries(uuids).map(([uuid, name]) => [
    `dev/disk/by-uuid/${uuid}`,
    { linkTo: `../../${name}` },
  ]);
  Object.assign(guest.files, Object.fromEntries(links), {
    ...{ 'etc/fstab': fstab, 'dev/vda2': '', 'dev/vdb1': '', 'dev/sr0': '' },
    'dev/mapper/rhel-var': { linkTo: '../dm-0' },
  });
  guest.devices[1] = { name: 'vdb', device: '252:16', bus: 'virtio-blk', partitions: { vdb1: '252:17' } };
  return guest;
}
/** Returns the text of fstab after the step. */
const after = ({ actions: [edit] }: Step) => (edit?.do === 'edit' ? edit.after : undefined);

const files = suite('whole files');
for (const name of ['el7', 'el9', 'debian-13']) {
  files(`${name}: entries on the system's disk, and no others`, async () => {
    const step = await planned(guestWith(read(name)), 'fstab');
    assert.equal([step.state, after(step)], ['needed', read(`${name}.sealed`)]);
  });
  files(`${name}: nothing to do afterwards`, async () => {
    const step = await planned(guestWith(read(`${name}.sealed`)), 'fstab');
    assert.equal([step.state, step.actions], ['done', []]);
  });
}
files('/home is left to its own step', async () => {
  const step = await planned(guestWith(read('el7')), 'fstab', { steps: ['home', 'fstab'] });
  assert.match(after(step) ?? '', '/home                   xfs     defaults,usrquota 0 0');
});
files.run();

const shmLine = 'tmpfs /dev/shm tmpfs defaults,noexec,nosuid,nodev 0 0';

const root = '/dev/mapper/rhel-root';
const lines = suite('single lines');
for (const [line, state, expected] of [
  [`${root} / xfs`, 'needed', `${root} / xfs defaults,ro`],
  [`${root} / xfs ro,rw`, 'needed', `${root} / xfs ro`],
  [`${root} / xfs ro 1 1`, 'needed', `${root} / xfs ro 1 0`],
  [`${root} / xfs usrquota,ro 0 0`, 'needed', `${root} / xfs ro 0 0`],
  [`${root} /var xfs usrquota 0 0`, 'needed', `${root} /var xfs defaults 0 0`],
  [`${root} /var xfs defaults 0 0`, 'done', ''],
  [`${root} /opt\\040x xfs noauto 0 0`, 'needed', `${root} /opt\\040x xfs noauto,ro 0 0`],
  ['/dev/mapper/rhel-home /home xfs defaults 0 0', 'done', ''],
  ['/dev/vdb /srv xfs defaults 0 2', 'done', ''],
  ['/dev/vdb none swap sw 0 0', 'done', ''],
  ['/var/swap none swap sw 0 0', 'needed', undefined],
  ['UUID=gone /srv xfs defaults 0 2', 'by hand', ''],
  ['UUID=gone /srv xfs nofail 0 2', 'done', ''],
  ['half a', 'by hand', ''],
] as const) {
  lines(line, async () => {
    const others = `tmpfs /tmp tmpfs noexec,nodev,nosuid\n${shmLine}\n`;
    const step = await planned(guestWith(`${others}${line}\n`), 'fstab', { steps: ['home', 'fstab'] });
    assert.is(step.state, state, step.why.join(' '));
    if (after(step) !== undefined && expected !== undefined) assert.is(after(step), `${others}${expected}\n`);
  });
}

/** fstab before and after the step, or undefined if nothing changes; and MOUNT_OPTIONS, if it is not the default. */
const shm: Record<string, [before: string, after: string | undefined, value?: string]> = {
  'no line': ['', `${shmLine}\n`],
  'no line, and no newline at the end': ['#', `#\n${shmLine}\n`],
  'a line without the options': [
    'tmpfs /dev/shm tmpfs size=4G 0 0',
    'tmpfs /dev/shm tmpfs size=4G,noexec,nosuid,nodev 0 0',
  ],
  'a line with contradicting options': [
    'none /dev/shm tmpfs nodev,exec,suid',
    'none /dev/shm tmpfs nodev,noexec,nosuid',
  ],
  'a line in which the last option counts': [
    'none /dev/shm tmpfs nodev,nosuid,noexec,exec',
    'none /dev/shm tmpfs nodev,nosuid,noexec',
  ],
  'a comment': [`#${shmLine}`, `#${shmLine}\n${shmLine}\n`],
  'a line with the options': [shmLine, undefined],
  'a line that is stricter than MOUNT_OPTIONS': [shmLine, undefined, '/dev/shm:nosuid'],
  'fewer options': ['', 'tmpfs /dev/shm tmpfs defaults,nosuid 0 0\n', '/dev/shm:nosuid'],
  strict: ['', `${shmLine}\n`, 'strict'],
  'no options for /dev/shm': ['', undefined, '/var/tmp:nosuid'],
};
for (const [title, [before, expected, value]] of Object.entries(shm)) {
  lines(`/dev/shm: ${title}`, async () => {
    const guest = guestWith(before);
    if (value !== undefined) guest.files['etc/immutafs/immutafs.conf'] = `MOUNT_OPTIONS=${value}\n`;
    const step = await planned(guest, 'fstab', { steps: ['fstab'] });
    assert.equal([step.state, after(step)], [expected === undefined ? 'done' : 'needed', expected]);
  });
}

lines('a symbolic link instead of fstab', async () => {
  const guest = guestWith('');
  guest.files['etc/fstab.real'] =
    '/dev/mapper/rhel-root / xfs defaults 0 0\ntmpfs /tmp tmpfs noexec,nodev,nosuid\n';
  guest.files['etc/fstab'] = { linkTo: 'fstab.real' };
  assert.is((await planned(guest, 'fstab')).state, 'blocked');
});
lines.run();

const disks = suite('file systems on another disk');
for (const [title, line, options, conf, state, text] of [
  [
    'data without the options',
    '/dev/vdb1 /srv ext4 defaults 0 0',
    'rw',
    '',
    'by hand',
    /^\/srv, ext4 \(\/dev\/vdb1\): line 3 of \/etc\/fstab mounts it without noexec,nosuid,nodev\. .*add noexec,nosuid,nodev to the options of line 3 .*write DATA=\/srv:exec in \/etc\/immutafs\/immutafs\.conf.*add \/srv to REQUIRE_READONLY/,
  ],
  [
    'data with the options',
    '/dev/vdb1 /srv ext4 noexec,nosuid,nodev 0 0',
    'rw,noexec,nosuid,nodev',
    '',
    'done',
    undefined,
  ],
  [
    'data that DATA names',
    '/dev/vdb1 /srv ext4 nosuid,nodev 0 0',
    'rw,nosuid,nodev',
    'DATA=/srv:exec\n',
    'done',
    undefined,
  ],
  ['a file system that was mounted manually', '', 'rw', '', 'done', undefined],
  [
    'a disk that will be sealed',
    '/dev/vdb1 /srv ext4 ro 0 0',
    'ro',
    'REQUIRE_READONLY=/ /srv\n',
    'done',
    undefined,
  ],
] as const) {
  disks(title, async () => {
    const guest = guestWith(`tmpfs /tmp tmpfs noexec,nodev,nosuid\n${shmLine}\n${line}\n`);
    guest.files['etc/immutafs/immutafs.conf'] = conf;
    guest.mounts['srv'] = `252:17 / /srv ${options} - ext4 /dev/vdb1 rw`;
    const step = await planned(guest, 'fstab');
    assert.is(step.state, state, step.why.join(' '));
    if (text !== undefined) assert.match(step.why.join('\n'), text);
  });
}
disks('a disk of /opt is part of the system', async () => {
  const guest = guestWith(
    `tmpfs /tmp tmpfs noexec,nodev,nosuid\n${shmLine}\n/dev/vdb1 /opt ext4 defaults 0 0\n`,
  );
  guest.mounts['opt'] = '252:17 / /opt rw - ext4 /dev/vdb1 rw';
  const step = await planned(guest, 'fstab');
  assert.is(step.state, 'needed');
  assert.match(after(step) ?? '', '/dev/vdb1 /opt ext4 defaults,ro 0 0\n');
});
disks('a disk below /var may become a layer: it is only named', async () => {
  const guest = guestWith(
    `tmpfs /tmp tmpfs noexec,nodev,nosuid\n${shmLine}\n/dev/vdb1 /var/lib/pgsql ext4 defaults 0 0\n`,
  );
  guest.mounts['pgsql'] = '252:17 / /var/lib/pgsql rw - ext4 /dev/vdb1 rw';
  const step = await planned(guest, 'fstab');
  assert.is(step.state, 'done');
  assert.match(step.why.join('\n'), /^\/var\/lib\/pgsql, ext4 \(\/dev\/vdb1\): line 3 /m);
});
disks.run();
