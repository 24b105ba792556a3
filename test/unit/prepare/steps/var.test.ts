import { table } from '../../../harness/step-table.ts';

const big = { 'var/log/messages': 'x'.repeat(1024 * 1024), 'etc/immutafs/immutafs.conf': 'VAR_SIZE=1m\n' };
const cleaning = [
  '/bin/systemctl kill --kill-who=main --signal=SIGUSR2 systemd-journald.service',
  '/bin/journalctl --vacuum-size=16M',
];
table('var', 'var', [
  [
    'small open files',
    {},
    'done',
    /4\.0 KiB of the 248 MiB of VAR_SIZE \(1%\); \/var\/log\/messages 4\.0 KiB by rsyslogd \(812\)/,
    [],
  ],
  ['open files as large as VAR_SIZE', big, 'by hand', /\(100%\).*--clean-var, which rotates/, []],
  [
    'open files as large as VAR_SIZE, with --clean-var',
    big,
    'needed',
    /Logs will be rotated/,
    cleaning,
    { cleanVar: true },
  ],
  [
    'the same with logrotate',
    { ...big, 'usr/sbin/logrotate': '', 'etc/logrotate.conf': '' },
    'needed',
    /Logs will be rotated/,
    [...cleaning, '/usr/sbin/logrotate --force /etc/logrotate.conf'],
    { cleanVar: true },
  ],
  ['--clean-var with nothing to clean', {}, 'done', /./, [], { cleanVar: true }],
  ['a file open for reading', { 'proc/812/fdinfo/7': 'flags:\t0100000\n' }, 'done', /: 0 B of/, []],
  ['a process that has ended', { 'proc/813/comm': '' }, 'done', /./, []],
  [
    'VAR_SIZE larger than the memory',
    { 'etc/immutafs/immutafs.conf': 'VAR_SIZE=2g\n' },
    'by hand',
    /three quarters of the guest's memory \(991 MiB\)/,
    [],
  ],
  [
    'a container store',
    { 'var/lib/docker/overlay2/x': '' },
    'by hand',
    /\/var\/lib\/docker holds containers/,
    [],
  ],
]);
