import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatMarker } from '../../../../agent/prepare/home/progress-marker.ts';
import type { Guest } from '../../../harness/guest.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { planned } from '../../../harness/planned.ts';

const programs = ['usr/bin/rsync', 'usr/bin/find', 'usr/bin/lsattr', 'usr/bin/flock', 'usr/sbin/blkid'];
const forDisk = ['usr/sbin/wipefs', 'usr/sbin/parted', 'usr/sbin/mkfs.xfs'];

function guestWith(files: readonly string[]) {
  const guest = ordinaryGuest();
  for (const file of files) guest.files[file] = '';
  return guest;
}

const first = suite('prepare: the first plan of /home');
first(
  'without a disk: names every missing program, every obstacle and everything that is not copied',
  async () => {
    const guest = guestWith([...programs, ...forDisk].filter((file) => !/rsync|parted/.test(file)));
    guest.mounts['below'] = '0:44 / /home/x rw - tmpfs t rw';
    guest.mounts['bind'] = '253:1 /alice /srv/alice rw - xfs /dev/mapper/rhel-home rw';
    guest.mounts['home'] = guest.mounts['home']?.replace('noquota', 'usrquota,prjquota') ?? '';
    guest.files['etc/projects'] = '42:/home/alice\n43:/srv\n';
    const { state, why } = await planned(guest, 'home');
    assert.is(state, 'blocked');
    for (const part of [
      /^Give the guest a second disk|^Name a disk for it/,
      /^\/usr\/bin\/rsync is missing: install the package rsync\.$/,
      /^\/usr\/sbin\/parted is missing: install the package parted\.$/,
      /^Mounted below \/home, where the new \/home would hide them: \/home\/x\./,
      /^\/home\/alice is also mounted at \/srv\/alice, /,
      /^Quotas are on for \/home \(usrquota, prjquota\): .*\(\/etc\/projects: 42:\/home\/alice\), are not copied\./,
    ]) {
      assert.is(
        why.filter((sentence) => part.test(sentence)).length,
        1,
        `${String(part)}: ${why.join('\n')}`,
      );
    }
  },
);
first('installed programs are not named', async () => {
  const { why } = await planned(guestWith([...programs, ...forDisk]), 'home');
  assert.is(why.length, 2, why.join('\n'));
});
first('an existing file system needs no parted', async () => {
  const { why } = await planned(guestWith(programs), 'home', { settings: { homeUuid: '1-2' } });
  assert.not.match(why.join('\n'), /is missing/);
  assert.match(why.join('\n'), /UUID=1-2 is not a file system of this guest/);
});
first('a new /home over the old one, which is still mounted at /home, is on its own disk', async () => {
  const guest = guestWith([...programs, ...forDisk]);
  guest.mounts['new'] = '252:16 / /home rw,noexec,nosuid,nodev - xfs /dev/vdb rw';
  const { why } = await planned(guest, 'home');
  assert.match(why[0] ?? '', /^\/home is \/dev\/vdb, which is not on the system/);
});
first.run();

const uuid = '68f0dbf4-343f-4b2e-8199-63212c9d26fa';
const disk = '/dev/vdb';

/**
 * Returns a guest whose /dev/vdb has a progress marker with the given text and, if isFormatted, our partition with a
 * file system.
 */
function guestWithDisk(marker: string, isFormatted: boolean): Guest {
  const guest = guestWith([...programs, ...forDisk]);
  guest.files['dev/vdb1'] = '';
  guest.files['dev/vdb'] = `${'\0'.repeat(512 * 1024)}${marker}`;
  const vdb = guest.devices.find(({ name }) => name === 'vdb');
  if (isFormatted && vdb !== undefined && !('on' in vdb)) vdb.partitions = { vdb1: '252:17' };
  const probed = `TYPE=xfs\nUUID=${uuid}\nPART_ENTRY_NAME=immutafs-home\n`;
  guest.answers.run = (program) => {
    if (program === '/usr/sbin/wipefs') return { stdout: '', ended: 'good' };
    return program === '/usr/sbin/blkid' ? { stdout: isFormatted ? probed : '', ended: 'good' } : undefined;
  };
  return guest;
}

const rest = [
  { do: 'verify-home', disk },
  { do: 'cutover-home', disk, file: '/etc/fstab', before: null, after: null },
  { do: 'clear-home-marker', disk },
];
const actions = suite('prepare: the actions of the migration');
for (const [title, marker] of [
  ['an empty disk', ''],
  ['an interrupted format', formatMarker({ progress: 'making', uuid: '', seconds: 1 })],
] as const) {
  actions(`${title}: all of them`, async () => {
    const step = await planned(guestWithDisk(marker, false), 'home', { settings: { homeDevice: disk } });
    assert.is(step.state, 'needed', step.why.join('\n'));
    assert.equal(step.actions, [
      { do: 'partition-home', disk, wipe: false },
      { do: 'format-home', disk },
      { do: 'copy-home', disk, wipe: false },
      ...rest,
    ]);
  });
}
for (const progress of ['copying', 'copied'] as const) {
  actions(`an interrupted run that came to ${progress}: from the copy on`, async () => {
    const marker = formatMarker({ progress, uuid, seconds: 1 });
    const step = await planned(guestWithDisk(marker, true), 'home', { settings: { homeDevice: disk } });
    assert.is(step.state, 'needed', step.why.join('\n'));
    assert.equal(step.actions, [{ do: 'copy-home', disk, wipe: false }, ...rest]);
  });
}
actions('a marker of another file system: the disk is not ours', async () => {
  const marker = formatMarker({ progress: 'copying', uuid: uuid.replace('6', '7'), seconds: 1 });
  const step = await planned(guestWithDisk(marker, true), 'home', { settings: { homeDevice: disk } });
  assert.is(step.state, 'blocked');
  assert.match(step.why.join('\n'), /it contains .*the partition \/dev\/vdb1/);
  assert.equal(step.actions, []);
});
actions.run();
