import { auditd } from '../../../../harness/auditd.ts';
import { table } from '../../../../harness/step-table.ts';

const atBoot = /at every boot/;
const later = /may grow to 40 MiB/;
const megabyte = 1024 * 1024;
const edit = (lines: string) => [`edit /etc/audit/auditd.conf: ${lines}`];
/** Settings with which every limit of auditd stops the guest. */
const strict = {
  admin_space_left_action: 'HALT',
  disk_full_action: 'halt',
  disk_error_action: 'SINGLE',
};
table('audit: limits of auditd', 'audit', [
  ['enough', auditd({}, '256m'), 'done', /The limits of auditd fit/],
  ['just enough: 50 MiB, five logs of 8 MiB and the open files', auditd({}, '91m'), 'done'],
  ['a little less', auditd({}, '90m'), 'by hand', later],
  ['SUSPEND, when the logs have grown', auditd(), 'by hand', /may grow.*stops writing.*VAR_SIZE=91m/],
  [
    'SUSPEND, with the line to set',
    auditd(),
    'by hand',
    /or these lines in \S+: `admin_space_left = 3`\. FORWARD/,
  ],
  [
    'SUSPEND at every boot',
    auditd({ num_logs: '2' }, '50m'),
    'needed',
    /50 cannot work/,
    edit('admin_space_left = 2'),
  ],
  [
    'HALT at every boot',
    auditd({ admin_space_left_action: 'halt', admin_space_left: '70' }, '70m'),
    'needed',
    /70 cannot work/,
    edit('admin_space_left = 3'),
  ],
  [
    'SUSPEND at every boot, because of open files',
    { ...auditd({ num_logs: '2' }, '60m'), 'var/log/messages': 'x'.repeat(16 * megabyte) },
    'by hand',
    atBoot,
  ],
  ['HALT', auditd({ admin_space_left_action: 'halt' }), 'by hand', /HALT: .*powers the guest off/],
  ['SINGLE', auditd({ admin_space_left_action: 'single' }), 'by hand', /single-user mode/],
  [
    'EMAIL of space_left',
    auditd({ space_left_action: 'email' }, '100m'),
    'by hand',
    /space_left = 75.*a mailer/,
  ],
  [
    'a program',
    auditd({ space_left_action: 'exec /usr/local/bin/alert' }, '80m'),
    'by hand',
    /runs a program/,
  ],
  ['a message to syslog only', auditd({ admin_space_left_action: 'syslog' }, '41m'), 'done'],
  ['IGNORE', auditd({ admin_space_left_action: 'ignore' }, '41m'), 'done'],
  ['ROTATE, which frees space', auditd({ admin_space_left_action: 'rotate' }, '41m'), 'done'],
  [
    'logs that are never removed',
    auditd({ max_log_file_action: 'keep_logs', admin_space_left_action: 'halt' }, '400m'),
    'by hand',
    /sets no limit for auditd's own logs.*`max_log_file_action = ROTATE`/,
  ],
  [
    'logs that are never removed, with harmless actions',
    auditd({ max_log_file_action: 'KEEP_LOGS', admin_space_left_action: 'syslog' }, '400m'),
    'by hand',
    /max_log_file_action = KEEP_LOGS: auditd deletes no old logs.*`max_log_file_action = ROTATE`/,
  ],
  ['a share of the layer', auditd({ space_left: '30%', admin_space_left: '25%' }, '200m'), 'done'],
  [
    'a share, when the logs have grown',
    auditd({ space_left: '60%', admin_space_left: '50%' }),
    'by hand',
    /50%.*VAR_SIZE=81m/,
  ],
  ['auditd writes no logs', auditd({ write_logs: 'no' }, '40m'), 'done', /writes no log/],
  ['an old way to write no logs', auditd({ log_format: 'NOLOG' }, '40m'), 'done', /writes no log/],
  [
    'logs on another disk',
    auditd({ log_file: '/home/audit/audit.log' }, '40m'),
    'done',
    /not in the overlay/,
  ],
  [
    'auditd is not enabled',
    { ...auditd({}, '40m'), 'etc/systemd/system/multi-user.target.wants/auditd.service': undefined },
    'done',
    /not enabled/,
  ],
  ['auditd is not installed', { 'etc/immutafs/immutafs.conf': 'VAR_SIZE=40m\n' }, 'done', /not installed/],
]);

table('audit: limits that stop the guest when the layer is full', 'audit', [
  [
    'are named',
    auditd(strict, '256m'),
    'done',
    /When other programs fill.*powers the guest off \(HALT in admin_space_left_action, disk_full_action\)/,
  ],
  [
    'are not named if there are none',
    auditd({ admin_space_left_action: 'syslog' }, '256m'),
    'done',
    /The limits of auditd fit into the layer of \/var\. FORWARD/,
  ],
  [
    'are reached if the logs have no limit',
    auditd({ ...strict, max_log_file_action: 'ignore' }, '256m'),
    'by hand',
    /disk_full_action = HALT: max_log_file_action sets no limit.*disk_error_action = SINGLE: .*`max_log_file_action = ROTATE`/,
  ],
  [
    'are reached if the logs fill the layer to the last blocks',
    auditd(
      {
        disk_full_action: 'halt',
        admin_space_left_action: 'syslog',
        max_log_file: '1',
        num_logs: '5',
        space_left: '2',
        admin_space_left: '1',
      },
      '5m',
    ),
    'by hand',
    /disk_full_action = HALT: auditd's own logs may grow/,
  ],
]);

table('audit: sizes that cannot work', 'audit', [
  [
    'logs as large as the layer become smaller; num_logs stays',
    auditd({ space_left: '4', admin_space_left: '2' }, '40m'),
    'needed',
    /max_log_file = 8 cannot work in the layer of \/var \(VAR_SIZE, 40 MiB\): it will be 1\./,
    edit('max_log_file = 1'),
  ],
  [
    'logs a little smaller than the layer stay',
    auditd({ space_left: '4', admin_space_left: '1', admin_space_left_action: 'syslog' }, '41m'),
    'done',
  ],
  [
    'both limits, in the right order',
    auditd({ space_left_action: 'suspend', num_logs: '2' }, '40m'),
    'needed',
    /space_left = 75 cannot work.*admin_space_left = 50 cannot work/,
    edit('space_left = 4; admin_space_left = 2'),
  ],
  [
    'space_left, and admin_space_left because it must be smaller',
    auditd(
      {
        space_left_action: 'suspend',
        admin_space_left: '30',
        admin_space_left_action: 'syslog',
        num_logs: '2',
      },
      '60m',
    ),
    'needed',
    /./,
    edit('space_left = 6; admin_space_left = 3'),
  ],
  [
    'a share of the whole layer',
    auditd({ space_left: '110%', admin_space_left: '100%', num_logs: '2' }, '100m'),
    'needed',
    /100% cannot work/,
    edit('space_left = 10; admin_space_left = 5'),
  ],
  [
    'so many logs that the smallest size does not help are reported, too',
    auditd({ num_logs: '99', max_log_file: '2' }, '99m'),
    'needed',
    /max_log_file = 2 cannot work.*`num_logs = 9`/,
    edit('max_log_file = 1'),
  ],
  [
    'an enormous number',
    auditd({ space_left: '9'.repeat(120), admin_space_left: '9'.repeat(100), num_logs: '2' }, '100m'),
    'needed',
    /cannot work/,
    edit('admin_space_left = 5'),
  ],
]);

const rotated = {
  'var/log/audit/audit.log.1': 'x'.repeat(8 * megabyte),
  'var/log/audit/audit.log.2': 'x'.repeat(8 * megabyte),
};
const small = { max_log_file: '1', space_left: '12', admin_space_left: '10' };
table('audit: rotated logs on the disk are copied into the layer', 'audit', [
  [
    'at every boot',
    { ...auditd(small, '20m'), ...rotated },
    'by hand',
    /has 4\.\d MiB free, so that at every boot.*copies 16 MiB into the layer: archive/,
  ],
  [
    'only those that num_logs includes',
    { ...auditd({ ...small, num_logs: '2' }, '20m'), ...rotated },
    'done',
  ],
  ['a layer that is large enough', { ...auditd(small, '30m'), ...rotated }, 'done'],
  ['a small layer without them', auditd(small, '20m'), 'done'],
]);
