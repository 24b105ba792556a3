import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, all, edit, file, mount } from '../../harness/changes.ts';
import { asUser, findingOf, lastReportOf, testChanges, testFindings } from '../../harness/finding.ts';

testChanges('kernel-view', {
  'another PID namespace': [
    file('proc/self/ns/pid', { linkTo: 'pid:[4026532000]' }),
    'error: not in the initial pid namespace',
  ],
  'not in the initial user namespace': [
    file('proc/self/ns/user', { linkTo: 'user:[4026532000]' }),
    'error: not in the initial user namespace',
  ],
  'PID 1 has another root': [
    file('proc/1/mountinfo', '61 1 253:0 / / ro - xfs /dev/sda1 ro\n'),
    'error: another mount namespace or another root',
  ],
  'PID 1 has no mount at its root': [
    file('proc/1/mountinfo', '60 1 253:0 / /x ro - xfs /dev/sda1 ro\n'),
    'error',
  ],
  'a tmpfs over a file of procfs': [
    mount('over', '0:60 / /proc/1234/mountinfo ro - tmpfs tmpfs rw,size=10k'),
    'error: tmpfs is mounted over /proc/1234/mountinfo',
  ],
  'a tmpfs over /sys': [
    mount('over', '0:60 / /sys rw - tmpfs evil rw'),
    { 'kernel-view': 'error: tmpfs is mounted on /sys', 'stacked-mounts': 'fail' },
  ],
  'other mounts below /proc and /sys': [
    mount('binfmt', '0:60 / /proc/sys/fs/binfmt_misc rw - binfmt_misc x rw'),
    mount('nfsd', '0:61 / /proc/fs/nfsd rw - nfsd x rw'),
    mount('cgroup', '0:62 / /sys/fs/cgroup ro - cgroup2 x rw'),
    mount('debug', '0:63 / /sys/kernel/debug rw - debugfs x rw'),
    {},
  ],
  '/dev/root as a source': [edit('root', '/dev/mapper/rhel-root', '/dev/root'), {}],
});

const users = suite('kernel-view: a user who is not root');
users('PID 1 that cannot be read is an error for root and skipped for others', async () => {
  const hidden = file('proc/1/mountinfo', { linkTo: '/nothing' });
  assert.is((await findingOf('kernel-view', hidden, { probe: false })).status, 'error');
  const { status, verdict } = await findingOf('kernel-view', all(hidden, await lastReportOf()), {
    probe: false,
    as: asUser,
  });
  assert.equal([status, verdict], ['skip', 'sealed']);
});
users.run();

/** The record of a boot at which the clock was ahead of the present one, by a number of seconds (harness/guest.ts). */
const ahead = (seconds: number, bootId = '6ad9c6b3-2c5b-4b0e-9b1f-6d6f0c1f3a52'): Change =>
  file(
    'run/immutafs/boot-state.json',
    JSON.stringify({
      bootId,
      booted: Date.parse('2026-03-04T05:06:07.089Z') - 100_000 + seconds * 1000,
      homes: '',
    }),
  );
const unchanged = 'the mounts of PID 1, unmodified /proc and /sys';
testFindings('kernel-view: the clock', {
  'set back': [
    ahead(3600),
    /^pass: .*; the clock was set back by 3600 s since the first check of this boot$/,
  ],
  'set forward': [ahead(-3600), /^pass: .*; the clock was set forward by 3600 s since/],
  'a small correction': [ahead(20), new RegExp(`^pass: ${unchanged}$`)],
  'in another boot': [ahead(3600, 'other'), new RegExp(`^pass: ${unchanged}$`)],
  'a malformed record': [file('run/immutafs/boot-state.json', '{}'), new RegExp(`^pass: ${unchanged}$`)],
});
