import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseOptions } from '../../../boot/guest/mount.ts';
import type { Native } from '../../../boot/native/native.ts';
import { type EarlyBoot, inEarlyBoot, linkDevice, vda, vdb, vdc } from '../../harness/early-boot.ts';

const udev = (device: string, type: string, uuid = '') => ({
  [`run/udev/data/b${device}`]: `E:ID_FS_TYPE=${type}\nE:ID_FS_UUID_ENC=${uuid}\n`,
});
const xfs = udev('252:2', 'xfs');

const options = suite('the options of a mount');
for (const [text, flags, data] of [
  ['', 0, ''],
  ['defaults,ro', 1, ''],
  ['rw,ro', 1, ''],
  ['ro,rw', 0, ''],
  ['nosuid,nodev,noexec,noatime', 2 | 4 | 8 | 1024, ''],
  ['noexec,exec,user,suid', 4 | 8, ''],
  [
    'noauto,nofail,_netdev,x-systemd.device-timeout=9,comment=a,inode64,errors=remount-ro',
    0,
    'inode64,errors=remount-ro',
  ],
  ['context="u:r:t:s0:c1,c2",discard', 0, 'discard'],
] as const) {
  options(text, () => assert.equal(parseOptions(text, false), { flags, data }));
}
options('with a policy of SELinux, its contexts', () => {
  assert.is(parseOptions('context="u:r:t:s0:c1,c2",ro', true).data, 'context="u:r:t:s0:c1,c2"');
});
options.run();

const test = suite('the root is mounted from the read-only disk');
const denied = () => {
  throw Object.assign(new Error('Structure needs cleaning'), { code: 'EUCLEAN' });
};
for (const [title, cmdline, given, expected] of [
  ['a sealed disk', 'root=/dev/vda2 rw', {}, ['/dev/vda2 /sysroot xfs 1']],
  [
    'options and type on the command line',
    'root=/dev/vda2 rootflags=noatime,inode64 rootfstype=ext4 ro',
    {},
    ['/dev/vda2 /sysroot ext4 1025 inode64'],
  ],
  [
    'quotes in the command line',
    'foo="bar root=/dev/vda1 baz" root="/dev/vda2" rootflags="noatime" x="y rootfstype=ext4"',
    {},
    ['/dev/vda2 /sysroot xfs 1025'],
  ],
  ['a writable disk: left to systemd', 'root=/dev/vda2', { devices: [vda(false)] }, []],
  [
    'a disk that is read-only only by its flag',
    'root=/dev/vda2',
    { devices: [{ ...vda(false), readOnly: true }] },
    ['/dev/vda2 /sysroot xfs 1'],
  ],
  ['mounted already', 'root=/dev/vda2', { mounts: ['252:2 /sysroot xfs /dev/vda2'] }, []],
  ['no root=', 'quiet', {}, []],
  ['a root from the network', 'root=nfs:server:/x', {}, []],
  ['a disk that does not exist', 'root=UUID=0', {}, []],
] as const satisfies readonly (readonly [string, string, EarlyBoot, readonly string[]])[]) {
  test(title, () => {
    const ran = inEarlyBoot({ cmdline, devices: [vda(true)], files: xfs, ...given }, ['mount-root']);
    assert.equal([ran.code, ran.mounts, ran.stderr], [0, expected, '']);
  });
}
test('a log that cannot be replayed; and both mounts fail: left to systemd', () => {
  for (const isFatal of [false, true]) {
    const calls: string[] = [];
    const replaced = () => ({
      mountAt: (...[, , , , data]: Parameters<Native['mountAt']>) => {
        calls.push(data);
        if (isFatal || data !== 'norecovery') denied();
      },
    });
    const { code, stderr } = inEarlyBoot(
      { cmdline: 'root=/dev/vda2', devices: [vda(true)], files: xfs, replaced },
      ['mount-root'],
    );
    assert.equal([code, calls], [0, ['', 'norecovery']]);
    const failed =
      'immutafs: warning: the mount of /dev/vda2 on /sysroot failed: Structure needs cleaning; see dmesg\n';
    const warning =
      'immutafs: warning: / is mounted with norecovery: it was not unmounted cleanly before it was sealed. Open the guest, shut it down cleanly, and seal it again\n';
    assert.is(stderr, isFatal ? failed : warning);
  }
});
test('a separate /usr is in the fstab of the root', () => {
  const files = {
    ...xfs,
    ...udev('252:1', 'ext4', 'u'),
    'sysroot/etc/fstab': '/dev/vda1 /usr auto nodev 0 0\n',
  };
  const ran = inEarlyBoot({ cmdline: 'root=/dev/vda2', devices: [vda(true)], files }, ['mount-root']);
  assert.equal(ran.mounts, ['/dev/vda2 /sysroot xfs 1', '/dev/vda1 /sysroot/usr ext4 5']);
});
test('in the real root: what fstab mounts on a target, once', () => {
  const fstab = '/dev/vda1 /b\\040t ext4 noatime\\054nodev,x-y 0 0\n';
  const given = { devices: [vda(true)], files: { 'etc/fstab': fstab } };
  const args = ['mount-readonly', '/b t'];
  assert.equal(inEarlyBoot(given, args).mounts, ['/dev/vda1 /b t ext4 1029']);
  assert.equal(inEarlyBoot(given, ['mount-readonly', '/b']).mounts, []);
  const mounts = ['252:1 /b\\040t ext4 /dev/vda1'];
  assert.equal(inEarlyBoot({ ...given, mounts }, args).mounts, []);
});
test.run();

const copies = suite('a copy of the root on a writable disk');
/** The link below /dev/disk leads to the copy, on vda2. */
const copied = (given: EarlyBoot): EarlyBoot => ({
  ...{ cmdline: 'root=UUID=u', devices: [vda(false), vdb] },
  ...given,
  files: {
    ...udev('252:2', 'xfs', 'u'),
    ...udev('252:18', 'xfs', 'u'),
    'dev/disk/by-uuid/u': { linkTo: '../../vda2' },
    ...given.files,
  },
});
const seal = (root: string) => linkDevice(root, 'block/immutafs/by-uuid/u', 'vdb2');
const fromSealed = ['/dev/vdb2 /sysroot xfs 1'];
const noted = 'IMPOSTOR=/dev/vda2 /dev/vdb2 UUID=u\n';

copies('the link to the sealed disk exists immediately', () => {
  const ran = inEarlyBoot(copied({ links: ['by-uuid/u'] }), ['mount-root']);
  assert.equal([ran.mounts, ran.programs], [fromSealed, []]);
});
copies('udev finds the sealed disk later; the copy is recorded', () => {
  const program = (root: string) => {
    seal(root);
    fs.rmSync(path.join(root, 'run/udev/queue'));
    return '';
  };
  const ran = inEarlyBoot(copied({ files: { 'run/udev/queue': '' }, program }), ['mount-root']);
  assert.equal([ran.mounts, ran.programs], [fromSealed, ['udevadm settle --timeout=90']]);
  assert.is(ran.after('run/immutafs/impostors'), noted);
});
copies('the sealed disk is in a volume group that is not active', () => {
  const program = (root: string, [, verb]: readonly string[]) => {
    if (verb === 'vgchange') seal(root);
    return verb === 'pvs' ? 'pv vg rhel\n' : '';
  };
  const ran = inEarlyBoot(copied({ links: ['lvm/vdb1 vdb1'], program }), ['mount-root']);
  assert.equal([ran.mounts, ran.after('run/immutafs/impostors')], [fromSealed, noted]);
  const activation = ran.programs.find((each) => each.startsWith('lvm vgchange'));
  assert.match(
    activation ?? '',
    /"a\|\^\/dev\/vdb1\$\|", "r\|\.\*\|".* read_only_volume_list = \[ "rhel" \] \} rhel$/,
  );
});
copies('immutafs=off: left to systemd', () => {
  const given = copied({ links: ['lvm/vdb1 vdb1'], cmdline: 'root=UUID=u immutafs=off' });
  const ran = inEarlyBoot(given, ['mount-root']);
  assert.equal([ran.mounts, ran.programs], [[], []]);
});
copies('no disk is sealed: left to systemd', () => {
  const ran = inEarlyBoot(copied({}), ['mount-root']);
  assert.equal([ran.mounts, ran.after('run/immutafs/impostors')], [[], undefined]);
});
copies.run();

const members = suite('copies of the members of arrays');
const array = { name: 'md127', device: '9:127', on: ['vdc2'] };
const raid = { ...udev('252:34', 'linux_raid_member', 'ab:cd') };
const raidLinks = ['member/ab:cd/vdb2', 'md/vdb2'];
const withMembers = (given: EarlyBoot & { devicesOfArray?: number; isBusy?: boolean }, ...args: string[]) => {
  const { devicesOfArray = 1, isBusy = false, ...rest } = given;
  const program = (_: string, words: readonly string[]) => {
    if (words[1] === '--examine')
      return words[3] === '/dev/vdb2' ? `MD_DEVICES=${devicesOfArray}\n` : undefined;
    return words[1] === '--stop' && isBusy ? undefined : '';
  };
  return inEarlyBoot(
    { cmdline: 'root=UUID=absent', devices: [vda(true), vdb, vdc, array], program, ...rest },
    args.length === 0 ? ['mount-root'] : args,
  );
};
const impostor = (id: string) => `IMPOSTOR=/dev/vdc2 /dev/vdb2 UUID=${id}\n`;
/** The rest of the boot does nothing. */
const off = { 'sysroot/etc/immutafs/immutafs.conf': 'MODE=off\n' };
const acted = (programs: readonly string[]) => programs.filter((each) => !each.includes('--examine'));

members('an array with a copy is stopped, and udev adds the sealed member', () => {
  const ran = withMembers({ files: raid, links: raidLinks });
  // This happens before and after the wait for udev, because the array of this test remains.
  const twice = ['mdadm --stop /dev/md127', 'udevadm settle --timeout=90'];
  assert.equal(acted(ran.programs), [...twice, ...twice]);
  assert.is(ran.after('sys/class/block/vdb2/uevent'), 'add\n');
  assert.is(ran.after('run/immutafs/impostors'), impostor('ab:cd'));
});
members('a member with a holder is not added again', () => {
  const files = { ...raid, 'sys/class/block/vdb2/holders/md1': '' };
  assert.not.match(
    withMembers({ files, links: raidLinks }).after('sys/class/block/vdb2/uevent') ?? '',
    /^add/,
  );
});
members('an array that spans both disks is not stopped', () => {
  assert.equal(acted(withMembers({ files: raid, links: raidLinks, devicesOfArray: 2 }).programs), []);
});
members('nothing happens with immutafs=off, or without sealed members', () => {
  const given = { files: raid, links: raidLinks, cmdline: 'root=UUID=absent immutafs=off' };
  assert.equal(withMembers(given).programs, []);
  assert.equal(withMembers({ files: raid }).programs, []);
});
members('when the root is mounted, an array with a copy is stopped, and the copy is recorded', () => {
  const given = { files: { ...raid, ...off }, links: raidLinks, mounts: ['252:2 /sysroot xfs /dev/vda2'] };
  const ran = withMembers(given, 'initramfs', '/sysroot');
  assert.equal([ran.code, acted(ran.programs)], [0, ['mdadm --stop /dev/md127']]);
  const said = '/dev/vdc2 has the same UUID=ab:cd as the sealed device /dev/vdb2 and is not used';
  assert.match(ran.stderr, `immutafs: warning: ${said}\n`);
  assert.is(ran.after('run/immutafs/impostors'), impostor('ab:cd'));
  const spanning = withMembers({ ...given, devicesOfArray: 2 }, 'initramfs', '/sysroot');
  assert.equal([acted(spanning.programs), spanning.after('run/immutafs/impostors')], [[], undefined]);
});
members('an array with a copy that is in use: a warning for boot.env', () => {
  const given = {
    files: { ...raid, ...off },
    links: raidLinks,
    mounts: ['252:2 /sysroot xfs /dev/vda2'],
    isBusy: true,
  };
  const ran = withMembers(given, 'initramfs', '/sysroot');
  const said =
    '/dev/md127 contains /dev/vdc2, a copy of /dev/vdb2, and is in use: detach the disk of /dev/vdc2';
  assert.is(ran.code, 0);
  assert.match(ran.after('run/immutafs/boot.env') ?? '', `WARNING=${said}\n`);
  assert.is(ran.after('run/immutafs/impostors'), impostor('ab:cd'));
});
members.run();
