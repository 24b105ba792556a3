import {
  all,
  config,
  edit,
  fstabLine,
  mount,
  replaceFstab,
  without,
  disk,
  file,
  handoff,
  tryWrite,
  probed,
} from '../../harness/changes.ts';
import { inEach, testChanges, testFindings } from '../../harness/finding.ts';
import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { parseConfig } from '../../../agent/config/config.ts';
import { mountOptionItems } from '../../../boot/guest/config.ts';
import { addedOptions } from '../../../agent/facts/mounts/targets.ts';

const lacks = (name: string, option: string) => edit(name, new RegExp(`\\b${option},?`), '');

testChanges('tmp-options', {
  ...inEach(['noexec', 'nosuid', 'nodev'], (option) => [lacks('tmp', option), `fail: without ${option}`]),
});
testChanges('options', {
  '/home lacks noexec': [
    lacks('home', 'noexec'),
    { 'home-options': 'fail: without noexec', footholds: 'warn' },
  ],
  ...inEach(['nosuid', 'nodev'], (option) => [
    lacks('home', option),
    { 'home-options': `fail: without ${option}` },
  ]),
  'the disk of /home is not mounted': [
    without('home'),
    {
      'home-options':
        /^fail: not a mount point but part of \/, without [a-z,]+: \/dev\/vdb, which line \d of \/etc\/fstab mounts there, is not mounted$/,
      'fstab-consistent': 'fail',
    },
  ],
  'the disk of /home does not exist': [
    all(without('home'), fstabLine('/home', 'LABEL=home /home xfs noexec,nosuid,nodev,nofail 0 0')),
    { 'home-options': /: LABEL=home, which line \d of \/etc\/fstab mounts there, does not exist$/ },
  ],
  '/home is part of /, and fstab mounts nothing there': [
    all(without('home'), replaceFstab(/^.* \/home .*\n/m, '')),
    { 'home-options': /^fail: not a mount point but part of \/, without [a-z,]+$/ },
  ],
  '/home is part of /, and fstab mounts it only on request': [
    all(without('home'), fstabLine('/home', '/dev/vdb /home xfs noexec,nosuid,nodev,noauto 0 0')),
    { 'home-options': /^fail: not a mount point but part of \/, without [a-z,]+$/ },
  ],
  'there is no /home': [
    all(without('home'), ({ directories }) => directories.splice(directories.indexOf('home'), 1)),
    { 'home-options': 'skip', 'fstab-consistent': 'fail' },
  ],
  'the options of a file system do not count, only the mount does': [
    all(edit('tmp', 'noexec,', ''), edit('tmp', 'rw,seclabel', 'rw,noexec,seclabel')),
    { 'tmp-options': 'fail' },
  ],
  'a later mount on /tmp counts': [
    mount('bind', '253:0 /var/tmp /tmp rw,relatime - xfs /dev/mapper/rhel-root rw'),
    { 'tmp-options': 'fail', 'stacked-mounts': 'fail' },
  ],
  'another target with its options': [
    config('REQUIRE_OPTIONS=/home:nosuid /tmp:nodev /run:nosuid,nodev\n'),
    { 'other-options': 'pass' },
  ],
  'another target without its options': [
    config('REQUIRE_OPTIONS=/home:nosuid /tmp:nodev /run:noexec\n'),
    { 'other-options': 'fail' },
  ],
  'a target that is a symbolic link in a directory with the options': [
    config('REQUIRE_OPTIONS=/home:nosuid /tmp:nodev /tmp/x:noexec\n'),
    file('tmp/x', { linkTo: '/usr' }),
    { 'other-options': 'fail: /tmp/x is a symbolic link (/usr)' },
  ],
  'a mount below /home without an option': [
    mount('below', '0:60 / /home/alice/x rw,nosuid,nodev - tmpfs a rw'),
    { 'home-options': 'fail: tmpfs at /home/alice/x without noexec' },
  ],
  'mounts below /home with the options, or read-only': [
    mount('good', '0:60 / /home/a rw,noexec,nosuid,nodev - tmpfs a rw'),
    mount('readonly', '0:61 / /home/b ro,nosuid,nodev - tmpfs b rw'),
    mount('beside', '0:62 / /homes rw,nosuid,nodev - tmpfs b rw'),
    {},
  ],
});

for (const [id, kind, good, bad] of [
  ['exec-probe', 'exec', 'EACCES', 'RAN'],
  ['suid-probe', 'suid', 'IGNORED', 'HONOURED'],
  ['device-probe', 'device', 'EACCES', 'OPENED'],
] as const) {
  testFindings(id, {
    ...inEach([good], (answer) => [probed(kind, answer), 'pass']),
    ...inEach([bad], (answer) => [probed(kind, answer), 'fail']),
    ...inEach(['TIMEOUT', 'ENOSPC', 'EPERM'], (answer) => [probed(kind, answer), 'error']),
  });
  testFindings(
    `${id}: without --probe`,
    inEach([good, bad, 'EPERM'], (answer) => [probed(kind, answer), 'skip']),
    { probe: false },
  );
}
const onlyNosuid = config('REQUIRE_OPTIONS=/home:nosuid\n');
testFindings('exec-probe: an option that is not required', { 'is not tried': [onlyNosuid, 'skip'] });
testFindings('suid-probe: the option that is required', { 'is tried': [onlyNosuid, 'pass'] });

const overlay =
  'overlay immutafs rw,lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work';
const onVar = (name: string, options: string) =>
  mount(`var-${name}`, `0:42 /${name} /var/${name} rw,${options} - ${overlay}`);

const hardening = ['noexec', 'nosuid', 'nodev'];

testChanges('mount-options', {
  ...inEach(hardening, (option) => [
    onVar('tmp', hardening.filter((each) => each !== option).join(',')),
    `fail: /var/tmp without ${option}`,
  ]),
  '/var/tmp and /var/log have the options': [
    all(onVar('tmp', 'noexec,nosuid,nodev'), onVar('log', 'noexec,nosuid,nodev,relatime')),
    'pass',
  ],
  '/dev/shm lacks all options': [
    edit('shm', 'noexec,nosuid,nodev', 'relatime'),
    'fail: /dev/shm without noexec,nosuid,nodev',
  ],
  '/var/log is no mount point': [
    ({ directories }) => directories.push('var/log'),
    'fail: /var/log without noexec',
  ],
  'a directory without a mount of its own, but with the options': [
    all(config('MOUNT_OPTIONS=/var/log:nosuid,nodev\n'), ({ directories }) => directories.push('var/log')),
    'pass',
  ],
  'a later mount on /var/tmp counts': [
    mount('late', '0:60 / /var/tmp rw,nosuid,nodev - tmpfs tmpfs rw'),
    { 'mount-options': 'fail', 'stacked-mounts': 'warn' },
  ],
  'a symbolic link in a directory with the options': [
    config('MOUNT_OPTIONS=/var/log:nosuid,nodev\n'),
    file('var/log', { linkTo: '/usr' }),
    'fail: /var/log is a symbolic link (/usr)',
  ],
  'a directory that a symbolic link above it leads to': [
    config('MOUNT_OPTIONS=/tmp/log/app:noexec\n'),
    file('tmp/log', { linkTo: '../var' }),
    ({ directories }) => directories.push('var/app'),
    'fail: /tmp/log is a symbolic link (/var/app)',
  ],
  'a symbolic link that leads nowhere': [
    config('MOUNT_OPTIONS=/tmp/log:noexec\n'),
    file('tmp/log', { linkTo: '/nowhere' }),
    'fail: /tmp/log is a symbolic link',
  ],
  'a path that does not exist': [config('MOUNT_OPTIONS=/nowhere:noexec\n'), 'skip'],
  'no options': [config('MOUNT_OPTIONS=\n'), 'skip'],
  'strict, but programs may run from /run and /var': [
    config('MOUNT_OPTIONS=strict\n'),
    'fail: /run without noexec; /var without noexec',
  ],
  strict: [
    config('MOUNT_OPTIONS=strict\n'),
    edit('run', 'nodev', 'nodev,noexec'),
    edit('var', 'nodev', 'nodev,noexec'),
    edit('dev', 'nosuid', 'nosuid,noexec'),
    'pass',
  ],
  'the directory of a user who is logged in': [
    config('MOUNT_OPTIONS=/run/user/*:noexec\n'),
    mount('user', '0:61 / /run/user/1000 rw,nosuid,nodev - tmpfs tmpfs rw'),
    'fail: /run/user/1000 without noexec',
  ],
  'on RHEL 7, the directories of users are in one tmpfs': [
    config('MOUNT_OPTIONS=/run/user/*:noexec\n'),
    mount('users', '0:61 / /run/user rw,nosuid,nodev,noexec - tmpfs tmpfs rw'),
    ({ directories }) => directories.push('run', 'run/user', 'run/user/1000'),
    'pass',
  ],
  'this tmpfs is not mounted, and /run has the directories': [
    config('MOUNT_OPTIONS=/run/user/*:noexec\n'),
    ({ directories }) => directories.push('run', 'run/user', 'run/user/1000'),
    'fail: /run/user/1000 without noexec',
  ],
  'logind has mounted a tmpfs over one of them': [
    config('MOUNT_OPTIONS=/run/user/*:noexec\n'),
    mount('users', '0:61 / /run/user rw,nosuid,nodev,noexec - tmpfs tmpfs rw'),
    mount('user', '0:62 / /run/user/1000 rw,nosuid,nodev - tmpfs tmpfs rw'),
    'fail: /run/user/1000 without noexec',
  ],
  'the directory of a user with the option, and a mount without nosuid below it': [
    config('MOUNT_OPTIONS=/run/user/*:noexec\n'),
    mount('user', '0:61 / /run/user/1000 rw,nosuid,nodev,noexec - tmpfs tmpfs rw'),
    mount('below', '0:62 / /run/user/1000/doc rw,noexec - fuse.portal portal rw'),
    'pass',
  ],
});

const parsed = suite('addedOptions');
const parse = (value: string) => addedOptions(parseConfig(`MOUNT_OPTIONS=${value}\n`).config);
parsed('strict stands for the items that the boot sets', () => {
  assert.equal(
    parse('strict').map(({ target, list }) => `${target}:${list.join(',')}`),
    mountOptionItems({ MOUNT_OPTIONS: 'strict' }),
  );
});
parsed('several items for a target', () => {
  assert.equal(parse('/a:noexec /b:nodev /a:noexec,nosuid'), [
    { target: '/a', list: ['noexec', 'nosuid'] },
    { target: '/b', list: ['nodev'] },
  ]);
});
parsed.run();

const remounted = all(edit('root', ' ro,', ' rw,'), edit('root', 'xfs /dev/mapper/rhel-root ro', 'xfs x rw'));

testChanges('readonly', {
  '/ is mounted read-write': [
    all(edit('root', '/ ro,', '/ rw,'), edit('root', ' ro,seclabel', ' rw,seclabel')),
    { 'root-readonly': 'fail: mounted read-write' },
  ],
  '/boot is mounted read-write': [
    all(edit('boot', '/boot ro,', '/boot rw,'), edit('boot', ' ro,seclabel', ' rw,seclabel')),
    { 'boot-readonly': 'fail: mounted read-write' },
  ],
  'there is no /boot': [
    without('boot'),
    ({ directories }) => directories.splice(directories.indexOf('boot'), 1),
    file('etc/fstab', '/dev/mapper/rhel-root / xfs ro 0 0\n'),
    { 'boot-readonly': 'skip' },
  ],
  'REQUIRE_READONLY names another target that is writable': [
    config('REQUIRE_READONLY=/ /boot /run\n'),
    // This file system is not on a disk, so the host cannot make it read-only.
    { 'boot-readonly': 'fail' },
  ],
});

/** The remedy depends on what keeps the disk read-only. */
const remount = /^The host keeps the disk read-only, .* mount -o remount,ro \//;
const inHost = /^The host leaves the disk .* make it read-only in the host and reboot/;
const inFstab = /^While the disk is writable, add ro to the options of .* in \/etc\/fstab/;
const forced = all(config('MODE=sealed\n'), disk({ offered: false }), handoff({ REASON: 'MODE=sealed' }));
testFindings('root-readonly', {
  'the host holds the disk': [remounted, ['fail', remount]],
  'the host leaves it writable': [forced, remounted, ['fail', inFstab]],
});
testFindings('boot-readonly', {
  'the host holds the disk': [
    all(edit('boot', ' ro,', ' rw,'), edit('boot', '- xfs /dev/vda1 ro', '- xfs /dev/vda1 rw')),
    ['fail', remount],
  ],
  'a target on no disk': [config('REQUIRE_READONLY=/ /run\n'), ['fail', inFstab]],
});
testFindings('root-write-probe', {
  'the host holds the disk': [tryWrite('OK'), ['fail', remount]],
  'the host leaves it writable': [forced, tryWrite('OK'), ['fail', inHost]],
  'only a flag of the block device': [
    all(disk({ offered: false, readOnly: true }), tryWrite('OK')),
    ['fail', inHost],
  ],
  'the mounts cannot be read': [
    all(file('proc/self/mountinfo', 'no mounts\n'), tryWrite('OK')),
    'fail: the write was accepted',
  ],
});
testChanges('root-write-probe', {
  'a write is accepted': [tryWrite('OK'), 'fail: the write was accepted'],
  'a write fails with another error': [tryWrite('EIO'), 'error: EIO'],
  'a write fails for lack of permission': [tryWrite('EACCES'), 'error: EACCES'],
});
