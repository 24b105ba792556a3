import { type Files, table } from '../../../harness/step-table.ts';

/** Returns RHEL's auditd.conf with changes. */
function auditd(changes: Record<string, string> = {}, size = '64m'): Files {
  const values = {
    log_file: '/var/log/audit/audit.log',
    max_log_file: '8',
    num_logs: '5',
    max_log_file_action: 'ROTATE',
    space_left: '75',
    space_left_action: 'SYSLOG',
    admin_space_left: '50',
    admin_space_left_action: 'SUSPEND',
    ...changes,
  };
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${value}\n`);
  return {
    'etc/immutafs/immutafs.conf': `VAR_SIZE=${size}\n`,
    'etc/audit/auditd.conf': `# comment\n${lines.join('')}`,
    'etc/systemd/system/multi-user.target.wants/auditd.service': {
      linkTo: '/usr/lib/systemd/system/auditd.service',
    },
  };
}
const atBoot = /at every boot/;
const later = /may grow to 40 MiB/;
table('var: limits of auditd', 'var', [
  ['enough', auditd({}, '256m'), 'done', /./, []],
  ['just enough: 50 MiB, five logs of 8 MiB and the open files', auditd({}, '91m'), 'done', /./, []],
  ['a little less', auditd({}, '90m'), 'by hand', later, []],
  ['SUSPEND, when the logs have grown', auditd(), 'by hand', /may grow.*stops writing.*VAR_SIZE=91m/, []],
  ['SUSPEND at every boot', auditd({}, '40m'), 'by hand', atBoot, []],
  ['HALT', auditd({ admin_space_left_action: 'halt' }, '40m'), 'by hand', /HALT: .*powers the guest off/, []],
  ['SINGLE', auditd({ admin_space_left_action: 'single' }, '40m'), 'by hand', /single-user mode/, []],
  [
    'EMAIL of space_left',
    auditd({ space_left_action: 'email' }, '100m'),
    'by hand',
    /space_left = 75.*a mailer/,
    [],
  ],
  ['a program', auditd({ space_left_action: 'exec /usr/local/bin/alert' }), 'by hand', /runs a program/, []],
  ['a message to syslog only', auditd({ admin_space_left_action: 'syslog' }, '40m'), 'done', /./, []],
  ['IGNORE', auditd({ admin_space_left_action: 'ignore' }, '40m'), 'done', /./, []],
  ['ROTATE, which frees space', auditd({ admin_space_left_action: 'rotate' }, '40m'), 'done', /./, []],
  [
    'logs that are never removed',
    auditd({ max_log_file_action: 'keep_logs', admin_space_left_action: 'halt' }, '400m'),
    'by hand',
    /sets no limit for auditd's own logs.*max_log_file_action = ROTATE/,
    [],
  ],
  ['a share of the layer', auditd({ admin_space_left: '25%' }, '200m'), 'done', /./, []],
  [
    'a share, when the logs have grown',
    auditd({ admin_space_left: '50%' }),
    'by hand',
    /50%.*VAR_SIZE=81m/,
    [],
  ],
  ['auditd writes no logs', auditd({ write_logs: 'no' }, '40m'), 'done', /./, []],
  ['logs on another disk', auditd({ log_file: '/home/audit/audit.log' }, '40m'), 'done', /./, []],
  [
    'auditd is not enabled',
    { ...auditd({}, '40m'), 'etc/systemd/system/multi-user.target.wants/auditd.service': undefined },
    'done',
    /./,
    [],
  ],
  ['auditd is not installed', { 'etc/immutafs/immutafs.conf': 'VAR_SIZE=40m\n' }, 'done', /./, []],
]);
