import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { planned } from '../../../harness/planned.ts';
import { guestWith, table } from '../../../harness/step-table.ts';

const big = { 'var/log/messages': 'x'.repeat(1024 * 1024), 'etc/immutafs/immutafs.conf': 'VAR_SIZE=1m\n' };
const cleaning = [
  '/bin/systemctl kill --kill-who=main --signal=SIGUSR2 systemd-journald.service',
  '/bin/journalctl --vacuum-size=16M',
];
const scratch = (items: string, device = '/dev/disk/by-id/virtio-scratch') => ({
  'etc/immutafs/immutafs.conf': `VAR_SIZE=1m\nSCRATCH=${items}\nSCRATCH_DEVICE=${device}\n`,
});
const persistText = (items: string, store = '/data/store') => `PERSIST=${items}\nPERSIST_STORE=${store}\n`;
const persist = (items: string, store?: string) => ({
  'etc/immutafs/immutafs.conf': persistText(items, store),
});
table('var', 'var', [
  [
    'small open files',
    {},
    'done',
    /4\.0 KiB of the 248 MiB of VAR_SIZE \(1%\); \/var\/log\/messages 4\.0 KiB by rsyslogd \(812\)/,
  ],
  ['open files as large as VAR_SIZE', big, 'by hand', /\(100%\).*--clean-var, which rotates/],
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
  ['a file open for reading', { 'proc/812/fdinfo/7': 'flags:\t0100000\n' }, 'done', /: 0 B of/],
  ['a process that has ended', { 'proc/813/comm': '' }, 'done'],
  [
    'VAR_SIZE larger than the memory',
    { 'etc/immutafs/immutafs.conf': 'VAR_SIZE=2g\n' },
    'by hand',
    /three quarters of the guest's memory \(991 MiB\)/,
  ],
  [
    'a container store',
    { 'var/lib/docker/overlay2/x': '' },
    'by hand',
    /\/var\/lib\/docker holds containers.* If their content may be lost at every reboot, add to \/etc\/immutafs\/immutafs\.conf, and attach a disk \(--scratch-device\): SCRATCH=\/var\/lib\/docker:empty,exec,suid,dev If the images and containers must be kept, add instead, and set PERSIST_STORE to a directory of a data disk: PERSIST=\/var\/lib\/docker:autostart,exec$/,
  ],
  [
    'open files as large as VAR_SIZE, in a cache',
    {
      ...big,
      'proc/812/fd/7': { linkTo: '/var/cache/app/a/b' },
      'var/cache/app/a/b': 'x'.repeat(1024 * 1024),
    },
    'by hand',
    /\(100%\).*: SCRATCH=\/var\/cache\/app$/,
  ],
  ['the twin: in /var/log', big, 'by hand', /\(100%\)(?!.*: SCRATCH=)/],
  [
    'a container store on SCRATCH_DEVICE',
    { 'var/lib/docker/overlay2/x': '', ...scratch('/var/lib/docker:empty,exec,suid,dev') },
    'done',
  ],
  [
    'the twin: in SCRATCH with an overlay',
    { 'var/lib/docker/overlay2/x': '', ...scratch('/var/lib/docker:exec') },
    'by hand',
    /do not work on an overlay: name the store in SCRATCH with the option empty.*immutafs\.conf: SCRATCH=\/var\/lib\/docker:empty,exec,suid,dev If /,
  ],
  [
    'the twin: without SCRATCH_DEVICE',
    { 'var/lib/docker/overlay2/x': '', ...scratch('/var/lib/docker:empty', '') },
    'by hand',
    /\/var\/lib\/docker holds containers/,
  ],
  [
    'container stores in PERSIST',
    {
      'var/lib/docker/overlay2/x': '',
      'var/lib/containers/storage/overlay/x': '',
      ...persist('/var/lib/docker:autostart,exec /var/lib/containers:autostart,exec'),
    },
    'done',
  ],
  [
    'the twin: one is not in PERSIST',
    {
      'var/lib/docker/overlay2/x': '',
      'var/lib/containers/storage/overlay/x': '',
      ...persist('/var/lib/docker:autostart,exec'),
    },
    'by hand',
    /^\/var\/lib\/containers\/storage holds containers.* add instead: PERSIST=\/var\/lib\/docker:autostart,exec \/var\/lib\/containers:autostart,exec$/,
  ],
  [
    'the twin: without PERSIST_STORE',
    { 'var/lib/docker/overlay2/x': '', ...persist('/var/lib/docker:autostart,exec', '') },
    'by hand',
    /\/var\/lib\/docker holds containers.* set PERSIST_STORE to a directory of a data disk: PERSIST=\/var\/lib\/docker:autostart,exec$/,
  ],
  [
    'open files as large as VAR_SIZE, in PERSIST',
    { ...big, 'etc/immutafs/immutafs.conf': `VAR_SIZE=1m\n${persistText('/var/log')}` },
    'done',
    /: 0 B of the 1\.0 MiB/,
  ],
  [
    'open files as large as VAR_SIZE, on SCRATCH_DEVICE',
    { ...big, ...scratch('/var/log') },
    'done',
    /: 0 B of the 1\.0 MiB/,
  ],
]);

const overlay = (text: string) => ({ 'etc/immutafs/immutafs.conf': `OVERLAY=${text}\n`, 'opt/agent/x': '' });
table('var: OVERLAY', 'var', [
  [
    'directories of the system disk',
    overlay('/opt /opt/agent'),
    'done',
    /Also writable in RAM in a sealed boot: \/opt \/opt\/agent\./,
  ],
  [
    'a seed of the host: /etc is in RAM, but read-only',
    overlay('/opt\nSEED=host'),
    'done',
    /Also writable in RAM in a sealed boot: \/opt\./,
  ],
  ['a refused path', overlay('/opt /usr'), 'by hand', /OVERLAY: \/usr is refused: it holds the programs/],
  ['/', overlay('/'), 'by hand', /OVERLAY: \/ is refused: the whole system/],
  ['a path that does not exist', overlay('/srv/x'), 'by hand', /OVERLAY: \/srv\/x does not exist: create it/],
  ['a file', overlay('/opt/agent/x'), 'by hand', /\/opt\/agent\/x is not a directory/],
  [
    'a link',
    { ...overlay('/srv'), srv: { linkTo: 'opt' } },
    'by hand',
    /OVERLAY: \/srv is a symbolic link: name the directory that it points to/,
  ],
  [
    'a link above it',
    { ...overlay('/srv/agent'), srv: { linkTo: 'opt' } },
    'by hand',
    /\/srv\/agent leads through \/srv, which is a symbolic link/,
  ],
  [
    'a file open for writing counts',
    {
      ...overlay('/opt'),
      'proc/812/fd/7': { linkTo: '/opt/agent/x' },
      'proc/812/fdinfo/7': 'flags:\t0100001\n',
    },
    'done',
    /\/opt\/agent\/x 0 B by rsyslogd/,
  ],
]);

const sizes = suite('var: OVERLAY on other disks');
for (const [device, needed] of [
  ['252:16 / /opt rw - xfs /dev/vdb rw', false],
  ['0:50 / /opt rw - tmpfs tmpfs rw', false],
  ['252:1 / /opt rw - xfs /dev/vda1 rw', true],
] as const) {
  sizes(`${device}: an overlay is ${needed ? '' : 'not '}needed`, async () => {
    const guest = guestWith(overlay('/opt'));
    guest.mounts['opt'] = device;
    const { state, why } = await planned(guest, 'var');
    assert.is(state, 'done');
    assert.is(why.join(' ').includes('OVERLAY: /opt needs no overlay: /opt'), !needed, why.join(' '));
  });
}
sizes.run();
