import { suite } from 'uvu';
import * as assert from 'uvu/assert';
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
  assert.match(why.join('\n'), /UUID=1-2 is no file system of this guest/);
});
first.run();
