import zlib from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Action, Settings, Step } from '../../../agent/prepare/step.ts';
import { makeCpio } from '../../support/cpio.ts';
import type { Guest } from '../../support/guest.ts';
import { goodImage, ordinaryGuest } from '../../support/ordinary-guest.ts';
import { planned } from '../../support/planned.ts';

type Files = Record<string, string | { linkTo: string } | undefined>;

function guestWith(files: Files): Guest {
  const guest = ordinaryGuest();
  for (const [name, content] of Object.entries(files)) {
    if (content === undefined) delete guest.files[name];
    else guest.files[name] = content;
  }
  return guest;
}

/** [what is different, the state, what it says, what would be done in short] */
type Row = [string, Files, Step['state'], RegExp, string[], Partial<Settings>?];

function table(title: string, id: Step['id'], rows: readonly Row[]): void {
  const cases = suite(title);
  for (const [name, files, state, why, actions, settings] of rows) {
    cases(name, async () => {
      const step = await planned(guestWith(files), id, settings === undefined ? {} : { settings });
      assert.is(step.state, state, step.why.join(' '));
      assert.match(step.why.join(' '), why);
      assert.equal(step.actions.map(short), actions);
    });
  }
  cases.run();
}

/** What an edit adds to fstab, and where everything else is done. */
function short(action: Action): string {
  switch (action.do) {
    case 'edit':
      return `edit ${action.file}: ${addedTo(action.before ?? '', action.after)}`;
    case 'link':
      return `link ${action.file} ${action.to}`;
    case 'remove':
      return `remove ${action.file}`;
    case 'run':
      return [action.program, ...action.args].join(' ');
    case 'rename':
      return `rename ${action.from} ${action.to}`;
    case 'move-home':
    case 'purge-home':
      return action.do;
  }
}

function addedTo(before: string, after: string): string {
  const old = before.split('\n');
  return after
    .split('\n')
    .filter((line) => !old.includes(line))
    .join('; ');
}

const newTmp = (options: string) => `edit /etc/fstab: # /tmp in memory; tmpfs /tmp tmpfs ${options} 0 0`;
const seed = 'rw,size=25%,nr_inodes=50k,noexec,nodev,nosuid,mode=1777';
const root = '/dev/mapper/rhel-root / xfs ro 0 0\n';
const unit = 'etc/systemd/system/tmp.mount';
const out = '# immutafs-agent prepare: /tmp is in memory now';

table('tmp', 'tmp', [
  ['no line', {}, 'needed', /has no \/tmp/, [newTmp(seed)]],
  ['no fstab', { 'etc/fstab': undefined }, 'needed', /has no \/tmp/, [newTmp(seed)]],
  [
    'size and mode by option',
    {},
    'needed',
    /a tmpfs is added/,
    [newTmp('rw,size=1g,nr_inodes=50k,noexec,nodev,nosuid,mode=1700')],
    { tmpSize: '1g', tmpMode: '1700' },
  ],
  [
    'REQUIRE_OPTIONS without noexec',
    { 'etc/immutafs/immutafs.conf': 'REQUIRE_OPTIONS=/tmp:nosuid,nodev\n' },
    'needed',
    /a tmpfs is added/,
    [newTmp('rw,size=25%,nr_inodes=50k,nodev,nosuid,mode=1777')],
  ],
  [
    'a good line',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs size=1g,nodev,nosuid,noexec\n` },
    'done',
    /has \/tmp with noexec,nodev,nosuid/,
    [],
  ],
  [
    'a line that lacks something',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs size=1g,exec,nodev\n` },
    'needed',
    /instead of size=1g,exec,nodev/,
    ['edit /etc/fstab: tmpfs /tmp tmpfs size=1g,noexec,nodev,nosuid'],
  ],
  [
    'a good line, and another mode asked for',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs nodev,nosuid,noexec,mode=1777\n` },
    'needed',
    /mode=1700 instead/,
    ['edit /etc/fstab: tmpfs /tmp tmpfs nodev,nosuid,noexec,mode=1700'],
    { tmpMode: '1700' },
  ],
  [
    'a partition of the disk of the system',
    { 'etc/fstab': `${root}/dev/mapper/rhel-home /tmp xfs defaults 0 0\n` },
    'needed',
    /which becomes read-only: a tmpfs takes its place/,
    [
      `edit /etc/fstab: ${out}; #/dev/mapper/rhel-home /tmp xfs defaults 0 0; # /tmp in memory; tmpfs /tmp tmpfs ${seed} 0 0`,
    ],
  ],
  [
    'a bind mount',
    { 'etc/fstab': `${root}/var/tmp /tmp none bind 0 0\n` },
    'needed',
    /a bind mount/,
    [`edit /etc/fstab: ${out}; #/var/tmp /tmp none bind 0 0; # /tmp in memory; tmpfs /tmp tmpfs ${seed} 0 0`],
  ],
  [
    'another disk',
    { 'etc/fstab': `${root}/dev/vdb /tmp xfs defaults 0 0\n` },
    'needed',
    /with the options defaults,noexec,nodev,nosuid/,
    ['edit /etc/fstab: /dev/vdb /tmp xfs defaults,noexec,nodev,nosuid 0 0'],
    { tmpMode: '1700' },
  ],
  [
    'two lines',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs\ntmpfs /tmp tmpfs\n` },
    'by hand',
    /several lines for \/tmp \(2, 3\)/,
    [],
  ],
  [
    'tmp.mount is masked',
    { [unit]: { linkTo: '/dev/null' } },
    'needed',
    /lets nothing be mounted/,
    [`remove /${unit}`, newTmp(seed)],
  ],
  [
    'a tmp.mount of the administrator that is good',
    { [unit]: '[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\nOptions=nosuid,nodev,noexec\n' },
    'done',
    /tmp\.mount mounts a tmpfs with/,
    [],
  ],
  [
    'one that is not, beside a good line',
    {
      [unit]: '[Mount]\nType=tmpfs\nOptions=mode=1777,nosuid\n',
      'etc/fstab': `${root}tmpfs /tmp tmpfs nodev,nosuid,noexec\n`,
    },
    'needed',
    /without noexec,nodev/,
    [`remove /${unit}`],
  ],
  [
    'one of another type',
    { [unit]: '[Mount]\nWhat=/dev/vdb\nType=xfs\nOptions=nosuid,nodev,noexec\n' },
    'needed',
    /mounts no tmpfs/,
    [`remove /${unit}`, newTmp(seed)],
  ],
  [
    'a drop-in with other options',
    { [`${unit}.d/size.conf`]: '[Mount]\nOptions=size=1g\n', [`${unit}.d/after.conf`]: '[Unit]\nAfter=x\n' },
    'needed',
    /size\.conf would win/,
    [`remove /${unit}.d/size.conf`, newTmp(seed)],
  ],
]);

table('mtab', 'mtab', [
  ['a file', {}, 'needed', /is a file/, ['link /etc/mtab ../proc/self/mounts']],
  ['nothing', { 'etc/mtab': undefined }, 'needed', /is not there/, ['link /etc/mtab ../proc/self/mounts']],
  [
    'another link',
    { 'etc/mtab': { linkTo: '/run/m' } },
    'needed',
    /a link to \/run\/m/,
    ['link /etc/mtab ../proc/self/mounts'],
  ],
  ['the link of the seed', { 'etc/mtab': { linkTo: '/proc/mounts' } }, 'done', /link to \/proc\/mounts/, []],
  ['a folder', { 'etc/mtab': undefined, 'etc/mtab/x': '' }, 'blocked', /neither/, []],
]);

const goodEtc: Files = {
  'etc/resolv.conf': { linkTo: '/run/NetworkManager/resolv.conf' },
  'etc/lvm/backup/rhel': '',
};
table('etc', 'etc', [
  [
    'as installed',
    {},
    'needed',
    /NetworkManager.*lvm\/backup\/rhel/,
    ['link /etc/resolv.conf /run/NetworkManager/resolv.conf', '/sbin/vgcfgbackup rhel'],
  ],
  ['all done', goodEtc, 'done', /adjtime stays/, []],
  [
    'a static resolv.conf',
    { ...goodEtc, 'etc/resolv.conf': 'nameserver 192.0.2.1\n' },
    'done',
    /Nothing/,
    [],
  ],
  [
    'NetworkManager is not running',
    {
      ...goodEtc,
      'etc/resolv.conf': '# Generated by NetworkManager\n',
      'run/NetworkManager/resolv.conf': undefined,
    },
    'by hand',
    /has no \/run\/NetworkManager\/resolv\.conf now/,
    [],
  ],
  [
    'dhclient',
    { ...goodEtc, 'etc/resolv.conf': '; generated by /usr/sbin/dhclient-script\nnameserver 192.0.2.1\n' },
    'by hand',
    /DHCP client.*PEERDNS=no/,
    [],
  ],
  [
    'no machine-id',
    { ...goodEtc, 'etc/machine-id': undefined },
    'needed',
    /machine-id/,
    ['/usr/bin/systemd-machine-id-setup'],
  ],
  [
    'an empty machine-id',
    { ...goodEtc, 'etc/machine-id': '' },
    'needed',
    /machine-id/,
    ['/usr/bin/systemd-machine-id-setup'],
  ],
  [
    'hyphens in the name of a volume group',
    { ...goodEtc, 'sys/block/dm-0/dm/name': 'my--vg-root\n' },
    'needed',
    /backup\/my-vg is not there/,
    ['/sbin/vgcfgbackup my-vg'],
  ],
  [
    'somebody writes there',
    {
      ...goodEtc,
      'etc/state': 'x',
      'proc/812/fd/10': { linkTo: '/etc/state' },
      'proc/812/fdinfo/10': 'flags:\t02\n',
    },
    'by hand',
    /\/etc\/state is open for writing by rsyslogd \(812\)/,
    [],
  ],
  [
    'somebody reads there',
    {
      ...goodEtc,
      'etc/state': 'x',
      'proc/812/fd/10': { linkTo: '/etc/state' },
      'proc/812/fdinfo/10': 'flags:\t0\n',
    },
    'done',
    /./,
    [],
  ],
]);

const big = { 'var/log/messages': 'x'.repeat(1024 * 1024), 'etc/immutafs/immutafs.conf': 'VAR_SIZE=1m\n' };
const cleaning = [
  '/bin/systemctl kill --kill-who=main --signal=SIGUSR2 systemd-journald.service',
  '/bin/journalctl --vacuum-size=16M',
];
table('var', 'var', [
  [
    'little is written',
    {},
    'done',
    /4\.0 KiB of the 248 MiB of VAR_SIZE \(1%\); \/var\/log\/messages 4\.0 KiB by rsyslogd \(812\)/,
    [],
  ],
  ['as much as there is room for', big, 'by hand', /\(100%\).*--clean-var rotates/, []],
  ['that, and it may be cleaned', big, 'needed', /Logs are rotated/, cleaning, { cleanVar: true }],
  [
    'likewise, with logrotate',
    { ...big, 'usr/sbin/logrotate': '', 'etc/logrotate.conf': '' },
    'needed',
    /Logs are rotated/,
    [...cleaning, '/usr/sbin/logrotate --force /etc/logrotate.conf'],
    { cleanVar: true },
  ],
  ['it may be cleaned, and is clean', {}, 'done', /./, [], { cleanVar: true }],
  ['a file that is only read', { 'proc/812/fdinfo/7': 'flags:\t0100000\n' }, 'done', /: 0 B of/, []],
  ['a process that has gone', { 'proc/813/comm': '' }, 'done', /./, []],
  [
    'more than the memory has',
    { 'etc/immutafs/immutafs.conf': 'VAR_SIZE=2g\n' },
    'by hand',
    /three quarters of the guest's memory \(991 MiB\)/,
    [],
  ],
  ['containers', { 'var/lib/docker/overlay2/x': '' }, 'by hand', /\/var\/lib\/docker holds containers/, []],
]);

const kernel = '3.10.0-1160.el7.x86_64';
const image = `boot/initramfs-${kernel}.img`;
const made = `/boot/.initramfs-${kernel}.img.immutafs`;
const again = [`/usr/bin/dracut --force ${made} ${kernel}`, `rename ${made} /${image}`];
table('initramfs', 'initramfs', [
  ['without the hook', {}, 'needed', /img lacks the hook of this package\.$/, again],
  ['with all of it', { [image]: goodImage() }, 'done', /has the scripts and the overlay driver/, []],
  [
    'without the driver',
    { [image]: goodImage({ [`usr/lib/modules/${kernel}/kernel/fs/overlayfs/overlay.ko.xz`]: undefined }) },
    'needed',
    /img lacks the overlay driver\.$/,
    again,
  ],
  [
    'the driver is built in',
    {
      [image]: goodImage({ [`usr/lib/modules/${kernel}/kernel/fs/overlayfs/overlay.ko.xz`]: undefined }),
      [`usr/lib/modules/${kernel}/modules.builtin`]: 'kernel/fs/xfs.ko\nkernel/fs/overlayfs/overlay.ko\n',
    },
    'done',
    /./,
    [],
  ],
  [
    'the scripts of an older version',
    { [image]: goodImage({ 'usr/libexec/immutafs/assemble-var': '#!/bin/sh\n' }) },
    'needed',
    /lacks the scripts of this version/,
    again,
  ],
  [
    'one script less',
    { [image]: goodImage({ 'usr/libexec/immutafs/immutafs-lib.sh': undefined }) },
    'needed',
    /lacks the scripts of this version/,
    again,
  ],
  ['none', { [image]: undefined }, 'needed', /img is not there/, again],
  ['cut off', { [image]: goodImage().slice(0, -100) }, 'needed', /img cannot be read/, again],
  [
    'not packed',
    { [image]: makeCpio({ a: 'b' }).toString('latin1').slice(0, -20) },
    'needed',
    /cannot be read.*ends in the middle/,
    again,
  ],
  ['Debian names', { [`boot/initrd.img-${kernel}`]: goodImage(), [image]: undefined }, 'done', /./, []],
  [
    'a kernel whose image is only in /usr/lib/modules',
    { [image]: goodImage(), 'usr/lib/modules/5.14.0-1.el9/vmlinuz': 'kernel' },
    'needed',
    /^\/boot\/initramfs-5\.14\.0-1\.el9\.img is not there\.$/,
    [
      '/usr/bin/dracut --force /boot/.initramfs-5.14.0-1.el9.img.immutafs 5.14.0-1.el9',
      'rename /boot/.initramfs-5.14.0-1.el9.img.immutafs /boot/initramfs-5.14.0-1.el9.img',
    ],
  ],
  ['no dracut', { 'usr/bin/dracut': undefined }, 'blocked', /dracut is not there/, []],
  [
    'the dracut module of the package is not there',
    { 'usr/lib/dracut/modules.d/95immutafs/module-setup.sh': undefined },
    'blocked',
    /install the package/,
    [],
  ],
  [
    'the package is not installed',
    { 'usr/libexec/immutafs/assemble-var': undefined, 'usr/libexec/immutafs/immutafs-lib.sh': undefined },
    'blocked',
    /install the package/,
    [],
  ],
]);

const other = suite('other images');
other('zstd, as EL9 makes it', async () => {
  const text = goodImage();
  const begin = text.indexOf('\x1f\x8b');
  const unpacked = zlib.gunzipSync(Buffer.from(text.slice(begin), 'latin1'));
  const packed = text.slice(0, begin) + zlib.zstdCompressSync(unpacked).toString('latin1');
  const step = await planned(guestWith({ [image]: packed }), 'initramfs');
  assert.is(step.state, 'done', step.why.join(' '));
});
other('no room for one more', async () => {
  const guest = guestWith({});
  guest.answers.usage.usedBytes = guest.answers.usage.sizeBytes;
  const step = await planned(guest, 'initramfs');
  assert.is(step.state, 'blocked');
  assert.match(step.why.join(' '), /\/boot has 0 B left/);
});
other('xz: lsinitrd is asked, and its word counts', async () => {
  for (const [answer, state] of [
    ['', 'needed'],
    ['-rw-r--r--   1 root     root  1 Jan  1  1970 usr/bin/sh\n', 'needed'],
    [
      [
        'usr/lib/dracut/hooks/pre-pivot/10-immutafs-pre-pivot.sh',
        'usr/libexec/immutafs/assemble-var',
        'usr/libexec/immutafs/immutafs-lib.sh',
        `usr/lib/modules/${kernel}/kernel/fs/overlayfs/overlay.ko.xz`,
      ]
        .map((name) => `-rw-r--r--   1 root     root  1 Jan  1  1970 ${name}\n`)
        .join(''),
      'done',
    ],
  ] as const) {
    const guest = guestWith({ [image]: '\xfd7zXZ\0 packed' });
    guest.answers.labels = answer;
    assert.is((await planned(guest, 'initramfs')).state, state);
  }
});
other.run();

const wants = 'etc/systemd/system/multi-user.target.wants/kdump.service';
const kdump: Files = { [wants]: { linkTo: '/usr/lib/systemd/system/kdump.service' } };
table('boot', 'boot', [
  ['as installed', {}, 'done', /^Nothing at boot/, []],
  ['a relabelling', { '.autorelabel': '' }, 'by hand', /reboot once while the disk is writable/, []],
  [
    'readonly-root',
    { 'etc/sysconfig/readonly-root': '# Set to yes\nREADONLY="yes"\nTEMPORARY_STATE=yes\n' },
    'needed',
    /READONLY=yes in \/etc\/sysconfig\/readonly-root does the same job/,
    ['edit /etc/sysconfig/readonly-root: READONLY="no"; TEMPORARY_STATE=no'],
  ],
  [
    'overlayroot',
    { 'proc/cmdline': 'root=/dev/mapper/rhel-root ro overlayroot=tmpfs\n' },
    'by hand',
    /kernel argument overlayroot=tmpfs/,
    [],
  ],
  ['kdump to /var/crash', kdump, 'by hand', /kdump writes a crash's memory to \/var\/crash/, []],
  [
    'kdump to a server',
    { ...kdump, 'etc/kdump.conf': '# ext4 /dev/vda1\nssh root@192.0.2.1\n' },
    'done',
    /./,
    [],
  ],
  [
    'kdump to the same disk',
    { ...kdump, 'etc/kdump.conf': 'xfs /dev/mapper/rhel-home\n' },
    'by hand',
    /rhel-home/,
    [],
  ],
  ['kdump to another disk', { ...kdump, 'etc/kdump.conf': 'xfs /dev/vdb\npath /\n' }, 'done', /./, []],
  [
    'no memory kept for kdump',
    { ...kdump, 'proc/cmdline': 'root=/dev/mapper/rhel-root ro\n' },
    'done',
    /./,
    [],
  ],
]);
