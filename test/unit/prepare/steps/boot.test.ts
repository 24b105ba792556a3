import { type Files, table } from '../../../harness/step-table.ts';

const wants = 'etc/systemd/system/multi-user.target.wants/kdump.service';
const kdump: Files = { [wants]: { linkTo: '/usr/lib/systemd/system/kdump.service' } };
table('boot', 'boot', [
  ['as installed', {}, 'done', /^Nothing at boot/, []],
  [
    '/.autorelabel',
    { '.autorelabel': '', 'sys/fs/selinux/enforce': '1' },
    'by hand',
    /reboot once while the disk is writable/,
    [],
  ],
  [
    'an XFS without file types under /var',
    // An XFS superblock of version 4 (fs/xfs/libxfs/xfs_format.h).
    { 'dev/block/253:0': `XFSB${'\0'.repeat(97)}\x04${'\0'.repeat(410)}` },
    'done',
    /ftype=0.*the kernel logs nothing about it/,
    [],
  ],
  ['/.autorelabel, with SELinux off', { '.autorelabel': '' }, 'done', /^Nothing at boot/, []],
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
    [],
  ],
  ['kdump to /var/crash', kdump, 'by hand', /kdump writes crash dumps to \/var\/crash/, []],
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
    'no memory reserved for kdump',
    { ...kdump, 'proc/cmdline': 'root=/dev/mapper/rhel-root ro\n' },
    'done',
    /./,
    [],
  ],
]);
