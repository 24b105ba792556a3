import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hasFileTypes } from '../../../../agent/prepare/steps/boot.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import {
  type Files,
  goodEtc,
  newTmp,
  table,
  tmpOptions,
  tmpOptions as seed,
} from '../../../harness/step-table.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const wants = 'etc/systemd/system/multi-user.target.wants/kdump.service';
const kdump: Files = { [wants]: { linkTo: '/usr/lib/systemd/system/kdump.service' } };
table('boot', 'boot', [
  ['as installed', {}, 'done', /^Nothing at boot/],
  [
    '/.autorelabel',
    { '.autorelabel': '', 'sys/fs/selinux/enforce': '1' },
    'by hand',
    /reboot once while the disk is writable/,
  ],
  [
    'an XFS without file types under /var',
    // An XFS superblock of version 4 (fs/xfs/libxfs/xfs_format.h).
    { 'dev/block/253:0': `XFSB${'\0'.repeat(97)}\x04${'\0'.repeat(410)}` },
    'done',
    /ftype=0.*the kernel logs nothing about it/,
  ],
  ['/.autorelabel, with SELinux off', { '.autorelabel': '' }, 'done', /^Nothing at boot/],
  [
    'readonly-root',
    { 'etc/sysconfig/readonly-root': '# Set to yes\nREADONLY="yes"\nTEMPORARY_STATE=yes\n' },
    'needed',
    /READONLY=yes in \/etc\/sysconfig\/readonly-root makes the root read-only/,
    ['edit /etc/sysconfig/readonly-root: READONLY="no"; TEMPORARY_STATE=no'],
  ],
  [
    'overlayroot',
    { 'proc/cmdline': 'root=/dev/mapper/rhel-root ro overlayroot=tmpfs\n' },
    'by hand',
    /kernel argument overlayroot=tmpfs/,
  ],
  ['kdump to /var/crash', kdump, 'by hand', /kdump writes crash dumps to \/var\/crash/],
  ['kdump to a server', { ...kdump, 'etc/kdump.conf': '# ext4 /dev/vda1\nssh root@192.0.2.1\n' }, 'done'],
  [
    'kdump to the same disk',
    { ...kdump, 'etc/kdump.conf': 'xfs /dev/mapper/rhel-home\n' },
    'by hand',
    /rhel-home/,
  ],
  ['kdump to another disk', { ...kdump, 'etc/kdump.conf': 'xfs /dev/vdb\npath /\n' }, 'done'],
  ['no memory reserved for kdump', { ...kdump, 'proc/cmdline': 'root=/dev/mapper/rhel-root ro\n' }, 'done'],
]);

table('mtab', 'mtab', [
  ['a file', {}, 'needed', /is a file/, ['link /etc/mtab ../proc/self/mounts']],
  ['no file', { 'etc/mtab': undefined }, 'needed', /does not exist/, ['link /etc/mtab ../proc/self/mounts']],
  [
    'another link',
    { 'etc/mtab': { linkTo: '/run/m' } },
    'needed',
    /a link to \/run\/m/,
    ['link /etc/mtab ../proc/self/mounts'],
  ],
  ['a link to /proc/mounts', { 'etc/mtab': { linkTo: '/proc/mounts' } }, 'done', /link to \/proc\/mounts/],
  ['a folder', { 'etc/mtab': undefined, 'etc/mtab/x': '' }, 'blocked', /neither/],
]);

const xfs = suite('hasFileTypes');
for (const [options, expected] of [
  [[], true],
  [['-m', 'crc=0', '-n', 'ftype=0'], false],
  [['-m', 'crc=0', '-n', 'ftype=1'], true],
] as const) {
  xfs(`mkfs.xfs ${options.join(' ')}`, () =>
    inTemporaryDirectory((folder) => {
      const file = path.join(folder, 'disk');
      fs.writeFileSync(file, '');
      fs.truncateSync(file, 320 * 1024 * 1024);
      execFileSync('mkfs.xfs', ['-q', ...options, file], { stdio: ['ignore', 'ignore', 'ignore'] });
      assert.is(hasFileTypes(systemReader({ root: folder }), '/disk'), expected);
    }),
  );
}
xfs('no XFS, a device that is too short, and no device', () =>
  inTemporaryDirectory((folder) => {
    writeFiles(folder, { other: 'x'.repeat(1024), short: 'XFSB' });
    for (const name of ['/other', '/short', '/none']) {
      assert.is(hasFileTypes(systemReader({ root: folder }), name), undefined, name);
    }
  }),
);
xfs.run();

/** Returns the files of a guest with sshd and without host keys. */
const sshd = (files: Files = {}): Files => ({
  ...goodEtc,
  'usr/sbin/sshd': 'program',
  'usr/bin/ssh-keygen': 'program',
  ...files,
});
const units: Files = { 'usr/lib/systemd/system/sshd-keygen@.service': '[Unit]\n' };
const keys = (...kinds: string[]): Files =>
  Object.fromEntries(kinds.map((kind) => [`etc/ssh/ssh_host_${kind}_key`, 'key']));
const made = ['/usr/bin/ssh-keygen -A'];
table('etc: host keys of sshd', 'etc', [
  ['none', sshd(units), 'needed', /ssh_host_rsa_key .*ed25519.*cloned/, made],
  ['none, without units that generate them', sshd(), 'needed', /ssh_host_rsa_key/, made],
  ['all', sshd({ ...units, ...keys('rsa', 'ecdsa', 'ed25519') }), 'done'],
  [
    'one is missing',
    sshd({ ...units, ...keys('rsa', 'ed25519') }),
    'needed',
    /^\/etc\/ssh\/ssh_host_ecdsa_key:/,
    made,
  ],
  ['one is missing, without units that generate it', sshd(keys('rsa')), 'done'],
  [
    'one is empty',
    sshd({ ...units, ...keys('rsa', 'ecdsa'), 'etc/ssh/ssh_host_ed25519_key': '' }),
    'needed',
    /ed25519/,
    made,
  ],
  [
    'RHEL 7 with AUTOCREATE_SERVER_KEYS=NO',
    sshd({
      'usr/lib/systemd/system/sshd-keygen.service': '',
      'etc/sysconfig/sshd': 'AUTOCREATE_SERVER_KEYS=NO\n',
    }),
    'done',
  ],
  [
    'RHEL 7 with a list in AUTOCREATE_SERVER_KEYS',
    sshd({ ...units, ...keys('rsa'), 'etc/sysconfig/sshd': 'AUTOCREATE_SERVER_KEYS="RSA ECDSA"\n' }),
    'needed',
    /^\/etc\/ssh\/ssh_host_ecdsa_key:/,
    made,
  ],
  [
    'FIPS mode, without an ed25519 key',
    sshd({ ...units, ...keys('rsa', 'ecdsa'), 'proc/sys/crypto/fips_enabled': '1\n' }),
    'done',
  ],
  [
    'ssh-keygen is not installed',
    sshd({ ...units, 'usr/bin/ssh-keygen': undefined }),
    'by hand',
    /install openssh/,
  ],
  ['sshd is not installed', { ...goodEtc, ...units }, 'done'],
]);

const root = '/dev/mapper/rhel-root / xfs ro 0 0\n';
const out = '# immutafs-agent prepare: /tmp is in memory now';

table('tmp', 'tmp', [
  ['no line', {}, 'needed', /has no \/tmp/, [newTmp(seed)]],
  ['no fstab', { 'etc/fstab': undefined }, 'needed', /has no \/tmp/, [newTmp(seed)]],
  [
    '--tmp-size and --tmp-mode',
    {},
    'needed',
    /a tmpfs will be added/,
    [newTmp('rw,size=1g,nr_inodes=50k,noexec,nodev,nosuid,mode=1700')],
    { tmpSize: '1g', tmpMode: '1700' },
  ],
  [
    'REQUIRE_OPTIONS without noexec',
    { 'etc/immutafs/immutafs.conf': 'REQUIRE_OPTIONS=/tmp:nosuid,nodev\n' },
    'needed',
    /a tmpfs will be added/,
    [newTmp('rw,size=25%,nr_inodes=50k,nodev,nosuid,mode=1777')],
  ],
  [
    'a good line',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs size=1g,nodev,nosuid,noexec\n` },
    'done',
    /has \/tmp with noexec,nodev,nosuid/,
  ],
  [
    'a line that lacks options',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs size=1g,exec,nodev\n` },
    'needed',
    /instead of size=1g,exec,nodev/,
    ['edit /etc/fstab: tmpfs /tmp tmpfs size=1g,noexec,nodev,nosuid'],
  ],
  [
    'a good line, with --tmp-mode',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs nodev,nosuid,noexec,mode=1777\n` },
    'needed',
    /mode=1700 instead/,
    ['edit /etc/fstab: tmpfs /tmp tmpfs nodev,nosuid,noexec,mode=1700'],
    { tmpMode: '1700' },
  ],
  [
    "a volume on the system's disk",
    { 'etc/fstab': `${root}/dev/mapper/rhel-home /tmp xfs defaults 0 0\n` },
    'needed',
    /which becomes read-only: a tmpfs will replace it/,
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
    /have the options defaults,noexec,nodev,nosuid/,
    ['edit /etc/fstab: /dev/vdb /tmp xfs defaults,noexec,nodev,nosuid 0 0'],
    { tmpMode: '1700' },
  ],
  [
    'two lines',
    { 'etc/fstab': `${root}tmpfs /tmp tmpfs\ntmpfs /tmp tmpfs\n` },
    'by hand',
    /several lines for \/tmp \(2, 3\)/,
  ],
]);

const tmpUnitsRoot = '/dev/mapper/rhel-root / xfs ro 0 0\n';
const unit = 'etc/systemd/system/tmp.mount';

table('tmp: units of the administrator', 'tmp', [
  [
    'tmp.mount is masked',
    { [unit]: { linkTo: '/dev/null' } },
    'needed',
    /masks tmp\.mount/,
    [`remove /${unit}`, newTmp(tmpOptions)],
  ],
  [
    'a good tmp.mount',
    { [unit]: '[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\nOptions=nosuid,nodev,noexec\n' },
    'done',
    /tmp\.mount mounts a tmpfs with/,
  ],
  [
    'a tmp.mount that lacks options, beside a good line',
    {
      [unit]: '[Mount]\nType=tmpfs\nOptions=mode=1777,nosuid\n',
      'etc/fstab': `${tmpUnitsRoot}tmpfs /tmp tmpfs nodev,nosuid,noexec\n`,
    },
    'needed',
    /without noexec,nodev/,
    [`remove /${unit}`],
  ],
  [
    'a tmp.mount of another type',
    { [unit]: '[Mount]\nWhat=/dev/vdb\nType=xfs\nOptions=nosuid,nodev,noexec\n' },
    'needed',
    /mounts no tmpfs/,
    [`remove /${unit}`, newTmp(tmpOptions)],
  ],
  [
    'a drop-in with other options',
    { [`${unit}.d/size.conf`]: '[Mount]\nOptions=size=1g\n', [`${unit}.d/after.conf`]: '[Unit]\nAfter=x\n' },
    'needed',
    /size\.conf overrides/,
    [`remove /${unit}.d/size.conf`, newTmp(tmpOptions)],
  ],
]);
