import { table } from '../../../harness/step-table.ts';

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
