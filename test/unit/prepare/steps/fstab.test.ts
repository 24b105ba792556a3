import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
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
  guest.files['etc/fstab'] = fstab;
  guest.files['dev/vda2'] = '';
  guest.files['dev/vdb1'] = '';
  guest.files['dev/sr0'] = '';
  guest.files['dev/mapper/rhel-var'] = { linkTo: '../dm-0' };
  for (const [uuid, name] of Object.entries(uuids)) {
    guest.files[`dev/disk/by-uuid/${uuid}`] = { linkTo: `../../${name}` };
  }
  guest.devices[1] = { name: 'vdb', device: '252:16', bus: 'virtio-blk', partitions: { vdb1: '252:17' } };
  return guest;
}

const files = suite('whole files');
for (const name of ['el7', 'el9', 'debian-13']) {
  files(`${name}: entries on the system's disk, and no others`, async () => {
    const step = await planned(guestWith(read(name)), 'fstab');
    assert.is(step.state, 'needed');
    const [edit] = step.actions;
    assert.is(edit?.do === 'edit' ? edit.after : '', read(`${name}.sealed`));
  });
  files(`${name}: nothing to do afterwards`, async () => {
    const step = await planned(guestWith(read(`${name}.sealed`)), 'fstab');
    assert.equal([step.state, step.actions], ['done', []]);
  });
}
files('/home is left to its own step', async () => {
  const step = await planned(guestWith(read('el7')), 'fstab', { steps: ['home', 'fstab'] });
  const [edit] = step.actions;
  assert.match(
    edit?.do === 'edit' ? edit.after : '',
    '/home                   xfs     defaults,usrquota 0 0',
  );
});
files.run();

const shmLine = 'tmpfs /dev/shm tmpfs defaults,noexec,nosuid,nodev 0 0';

const lines = suite('single lines');
for (const [line, state, after] of [
  ['/dev/mapper/rhel-root / xfs', 'needed', '/dev/mapper/rhel-root / xfs defaults,ro'],
  ['/dev/mapper/rhel-root / xfs ro,rw', 'needed', '/dev/mapper/rhel-root / xfs ro'],
  ['/dev/mapper/rhel-root / xfs ro 1 1', 'needed', '/dev/mapper/rhel-root / xfs ro 1 0'],
  ['/dev/mapper/rhel-root / xfs usrquota,ro 0 0', 'needed', '/dev/mapper/rhel-root / xfs ro 0 0'],
  ['/dev/mapper/rhel-root /var xfs usrquota 0 0', 'needed', '/dev/mapper/rhel-root /var xfs defaults 0 0'],
  ['/dev/mapper/rhel-root /var xfs defaults 0 0', 'done', ''],
  [
    '/dev/mapper/rhel-root /opt\\040x xfs noauto 0 0',
    'needed',
    '/dev/mapper/rhel-root /opt\\040x xfs noauto,ro 0 0',
  ],
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
    const guest = guestWith(`${others}${line}\n`);
    const step = await planned(guest, 'fstab', { steps: ['home', 'fstab'] });
    assert.is(step.state, state, step.why.join(' '));
    const [edit] = step.actions;
    if (edit?.do !== 'edit' || after === undefined) return;
    assert.is(edit.after, `${others}${after}\n`);
  });
}

for (const [title, before, value, after] of [
  ['no line', '', undefined, `${shmLine}\n`],
  ['no line, and no newline at the end', '#', undefined, `#\n${shmLine}\n`],
  [
    'a line without the options',
    'tmpfs /dev/shm tmpfs size=4G 0 0',
    undefined,
    'tmpfs /dev/shm tmpfs size=4G,noexec,nosuid,nodev 0 0',
  ],
  [
    'a line with contradicting options',
    'none /dev/shm tmpfs nodev,exec,suid',
    undefined,
    'none /dev/shm tmpfs nodev,noexec,nosuid',
  ],
  [
    'a line in which the last option counts',
    'none /dev/shm tmpfs nodev,nosuid,noexec,exec',
    undefined,
    'none /dev/shm tmpfs nodev,nosuid,noexec',
  ],
  ['a comment', `#${shmLine}`, undefined, `#${shmLine}\n${shmLine}\n`],
  ['a line with the options', shmLine, undefined, undefined],
  ['a line that is stricter than MOUNT_OPTIONS', shmLine, '/dev/shm:nosuid', undefined],
  ['fewer options', '', '/dev/shm:nosuid', 'tmpfs /dev/shm tmpfs defaults,nosuid 0 0\n'],
  ['strict', '', 'strict', `${shmLine}\n`],
  ['no options for /dev/shm', '', '/var/tmp:nosuid', undefined],
] as const) {
  lines(`/dev/shm: ${title}`, async () => {
    const guest = guestWith(before);
    if (value !== undefined) guest.files['etc/immutafs/immutafs.conf'] = `MOUNT_OPTIONS=${value}\n`;
    const step = await planned(guest, 'fstab', { steps: ['fstab'] });
    const [edit] = step.actions;
    assert.equal(
      [step.state, edit?.do === 'edit' ? edit.after : undefined],
      [after === undefined ? 'done' : 'needed', after],
    );
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
