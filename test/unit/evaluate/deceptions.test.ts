/** Tests manipulations that make a guest look sealed, each with the check that detects it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, all, config, edit, file, handoff, mount, tryWrite } from '../../harness/changes.ts';
import { asUser, findingOf, inEach, testFindings } from '../../harness/finding.ts';

const swap = (line: string) => file('proc/swaps', `Filename\tType\tSize\n${line}\t1000\t0\t-2\n`);

testFindings('root-write-probe: deceptions', {
  'REQUIRE_READONLY is empty: / is tried nevertheless': [
    all(config('REQUIRE_READONLY=\n'), tryWrite('OK')),
    'fail: the write was accepted',
  ],
  'REQUIRE_READONLY is empty, and a write to / fails': [config('REQUIRE_READONLY=\n'), 'pass: EROFS'],
});
testFindings('var-overlay: deceptions', {
  'the lower layer is another directory of the disk': [
    edit('lower', '253:0 /var ', '253:0 /opt/var '),
    'fail: /run/immutafs/lower shows /opt/var of the disk, not /var',
  ],
});
testFindings('var-upper-tmpfs: deceptions', {
  'the upper layer of an overlay below /var is on a disk': [
    handoff({ LAYER: '/var/log overlay' }),
    mount('disk', '252:16 /x /run/var/below rw,nosuid,nodev,noexec - xfs /dev/vdb rw'),
    'fail: an upper layer is on xfs at /run/var/below',
  ],
  'the upper layer of an overlay below /var is on the same tmpfs': [
    handoff({ LAYER: '/var/log overlay' }),
    'pass',
  ],
  'the overlay below /var could not be assembled': [
    handoff({ LAYER: '/var/log failed' }),
    mount('disk', '252:16 /x /run/var/below rw,nosuid,nodev,noexec - xfs /dev/vdb rw'),
    'pass',
  ],
});
testFindings('stacked-mounts: deceptions', {
  ...inEach(
    [
      ...[
        '0:18 /conf /etc/immutafs/immutafs.conf',
        '0:60 / /etc/immutafs',
        '253:0 /usr/share/fstab /etc/fstab',
      ],
      ...['0:60 / /etc/selinux/config', '0:60 / /etc/overlayroot.conf', '0:60 / /run/immutafs/boot.env'],
      ...['0:60 / /run/immutafs/report.json', '0:60 / /run/immutafs'],
      ...['0:60 / /etc', '253:0 /opt /etc', '252:16 / /etc'],
    ],
    (line) => [
      mount('over', `${line} ro - tmpfs evil ro`),
      `fail: ${line.replace(/.* /, '')} is tmpfs (evil), not what was sealed`,
    ],
  ),
  'another /etc whose configuration requires less': [
    config('REQUIRE_READONLY=\nREQUIRE_OPTIONS=\n'),
    mount('over', '0:60 / /etc rw - overlay evil rw,lowerdir=/etc,upperdir=/run/u,workdir=/run/w'),
    'fail: /etc is overlay (evil)',
  ],
  '/etc bind-mounted on itself': [mount('over', '253:0 /etc /etc ro - xfs /dev/mapper/rhel-root ro'), 'pass'],
  '/etc on another file system of the disk of /': [
    mount('over', '252:1 /etc /etc ro - xfs /dev/vda1 ro'),
    'pass',
  ],
  'a mount on another directory below /run/immutafs': [
    mount('three', '0:62 / /run/immutafs/x ro - tmpfs three ro'),
    'pass',
  ],
  'a mount on a directory with the name of an input and more': [
    mount('two', '0:61 / /etc/fstab.d ro - tmpfs two ro'),
    'fail: /etc/fstab.d is tmpfs (two), which neither fstab nor the boot mounted',
  ],
  'a second mount on a target of fstab': [
    file('etc/fstab', 'tmpfs /srv tmpfs nodev 0 0\n'),
    mount('srv', '0:60 / /srv rw,nodev - tmpfs one rw'),
    mount('over', '0:61 / /srv rw,nodev - tmpfs two rw'),
    'fail: /srv is tmpfs (two); hidden: tmpfs (one)',
  ],
});
testFindings('fstab-consistent: deceptions', {
  'a tmpfs instead of a disk': [
    mount('home', '0:60 / /home rw,noexec,nosuid,nodev - tmpfs evil rw'),
    'fail: line 3, /home: mounted from evil (0:60), not from /dev/vdb',
  ],
  'a disk instead of a tmpfs': [
    mount('tmp', '252:16 /tmp /tmp rw,noexec,nosuid,nodev - xfs /dev/vdb rw'),
    'fail: line 4, /tmp: mounted from /dev/vdb (252:16), not from tmpfs',
  ],
  'a Btrfs, which has its own device number': [
    mount('home', '0:60 /home /home rw,noexec,nosuid,nodev - btrfs /dev/vdc rw'),
    'pass',
  ],
});
testFindings('selinux-labels: deceptions', {
  'selinuxfs is unmounted, or hidden': [
    file('proc/filesystems', 'nodev\tsysfs\nnodev\tselinuxfs\n\text4\n'),
    'error: /sys/fs/selinux: the kernel has SELinux',
  ],
  'selinuxfs is unmounted, and SELinux is disabled in its configuration': [
    file('proc/filesystems', 'nodev\tselinuxfs\n'),
    file('etc/selinux/config', '# x\nSELINUX=disabled\nSELINUXTYPE=targeted\n'),
    'skip',
  ],
  'SELinux enforces, although its configuration disables it': [
    all(file('sys/fs/selinux/enforce', '1'), file('etc/selinux/config', 'SELINUX=disabled\n')),
    'error: did not return a label',
  ],
  'a kernel without SELinux': [
    file('proc/filesystems', 'nodev\tsysfs\nnodev\txselinuxfs\n\text4\n'),
    'skip: SELinux is not enabled',
  ],
});
testFindings('swap-off: deceptions', {
  'a device node outside /dev': [swap('/run/node partition'), 'error: /run/node is in use'],
  'a device node that was removed': [swap('/dev/gone\\040(deleted) partition'), 'error: on an unknown disk'],
  'a file that was removed': [swap('/swap\\040(deleted) file'), 'fail: /swap is in use'],
  // In 0xC3 0xA0, JavaScript treats the second byte as white space.
  'a file with a name in UTF-8': [swap('/swap-\xc3\xa0 file'), 'fail: /swap-à is in use'],
});
testFindings('initramfs-hook: deceptions', {
  'a malformed time': [handoff({ UPTIME: 'soon' }), 'error: UPTIME=soon is not a number of seconds'],
  'a negative time': [handoff({ UPTIME: '-1' }), 'error: UPTIME=-1 is not a number of seconds'],
});
testFindings('forward-healthy: deceptions', {
  'a link to a file that only root may read': [
    config('FORWARD=relp://log:514\n'),
    file('etc/shadow', 'root:$y$secret:::::::\n'),
    file('run/immutafs/forward/state.json', { linkTo: '../../../etc/shadow' }),
    /^error: \/run\/immutafs\/forward\/state\.json: a symbolic link, not a regular file$/,
  ],
});

const users = suite('deceptions, without root');
const unreadable: Change = file('proc/1/mountinfo', { linkTo: '/nothing' });
users('another namespace is detected without access to PID 1', async () => {
  const change = all(unreadable, file('proc/self/ns/user', { linkTo: 'user:[4026532000]' }));
  const { status, observed, verdict } = await findingOf('kernel-view', change, { as: asUser });
  assert.equal([status, verdict], ['error', 'unknown']);
  assert.match(observed, 'not in the initial user namespace');
});
users("a mount over the kernel's files is detected without access to PID 1", async () => {
  const over = mount('over', '0:60 / /proc/cmdline ro - tmpfs tmpfs rw');
  const { status, observed, verdict } = await findingOf('kernel-view', all(unreadable, over), { as: asUser });
  assert.equal([status, verdict], ['error', 'unknown']);
  assert.match(observed, 'tmpfs is mounted over /proc/cmdline');
});
users.run();
