import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { planned } from '../../../harness/planned.ts';
import { type Files, guestWith, table, tableOf } from '../../../harness/step-table.ts';

const big = { 'var/log/messages': 'x'.repeat(1024 * 1024), 'etc/immutafs/immutafs.conf': 'VAR_SIZE=1m\n' };
const cached = {
  'proc/812/fd/7': { linkTo: '/var/cache/app/a/b' },
  'var/cache/app/a/b': 'x'.repeat(1024 * 1024),
};
const cleaning = ['plan-clean-var'];
const docker = { 'var/lib/docker/overlay2/x': '' };
const podman = { 'var/lib/containers/storage/overlay/x': '' };
const scratch = (items: string, device = '/dev/disk/by-id/virtio-scratch') => ({
  'etc/immutafs/immutafs.conf': `VAR_SIZE=1m\nSCRATCH=${items}\nSCRATCH_DEVICE=${device}\n`,
});
const persistText = (items: string, store = '/data/store') => `PERSIST=${items}\nPERSIST_STORE=${store}\n`;
const persist = (items: string, store?: string) => ({
  'etc/immutafs/immutafs.conf': persistText(items, store),
});
table('var', 'var', {
  'done: small open files': [
    {},
    /4\.0 KiB of the 248 MiB of VAR_SIZE \(1%\); \/var\/log\/messages 4\.0 KiB by rsyslogd \(812\)/,
  ],
  'by hand: open files as large as VAR_SIZE': [big, /\(100%\).*--clean-var, which rotates/],
  'needed: open files as large as VAR_SIZE, with --clean-var': [
    big,
    /Logs will be rotated/,
    cleaning,
    { cleanVar: true },
  ],
  'at next boot: the rotation of logs is recorded': [
    {
      ...big,
      'var/lib/immutafs/moves.json':
        '{"schema":1,"moves":[],"cleanVar":true,"restoreFiles":false,"rehearse":null}',
    },
    /The next maintenance boot rotates logs/,
  ],
  'done: --clean-var with nothing to clean': [{}, [], { cleanVar: true }],
  'done: a file open for reading': [{ 'proc/812/fdinfo/7': 'flags:\t0100000\n' }, /: 0 B of/],
  'done: many processes have a file open': [
    Object.fromEntries(
      [900, 901, 902, 903].flatMap((pid) => [
        [`proc/${pid}/fd/7`, { linkTo: '/var/log/messages' }],
        [`proc/${pid}/fdinfo/7`, 'flags:\t0100001\n'],
        [`proc/${pid}/comm`, 'httpd\n'],
      ]),
    ) as Files,
    /by rsyslogd \(812\), httpd \(900\), httpd \(901\) and 2 more\./,
  ],
  'done: a process that has ended': [{ 'proc/813/comm': '' }],
  'by hand: VAR_SIZE larger than the memory': [
    { 'etc/immutafs/immutafs.conf': 'VAR_SIZE=2g\n' },
    /three quarters of the guest's memory \(991 MiB\)/,
  ],
  'by hand: a container store': [
    docker,
    /\/var\/lib\/docker holds containers.* If their content may be lost at every reboot, add to \/etc\/immutafs\/immutafs\.conf, and attach a disk \(--scratch-device\): SCRATCH=\/var\/lib\/docker:empty,exec,suid,dev If the images and containers must be kept, add instead, and set PERSIST_STORE to a directory of a data disk: PERSIST=\/var\/lib\/docker:autostart,exec$/,
  ],
  'by hand: open files as large as VAR_SIZE, in a cache': [
    { ...big, ...cached },
    /\(100%\).*: SCRATCH=\/var\/cache\/app$/,
  ],
  'by hand: the twin: in /var/log': [big, /\(100%\)(?!.*: SCRATCH=)/],
  'done: a container store on SCRATCH_DEVICE': [
    { ...docker, ...scratch('/var/lib/docker:empty,exec,suid,dev') },
  ],
  'by hand: the twin: in SCRATCH with an overlay': [
    { ...docker, ...scratch('/var/lib/docker:exec') },
    /do not work on an overlay: name the store in SCRATCH with the option empty.*immutafs\.conf: SCRATCH=\/var\/lib\/docker:empty,exec,suid,dev If /,
  ],
  'by hand: the twin: without SCRATCH_DEVICE': [
    { ...docker, ...scratch('/var/lib/docker:empty', '') },
    /\/var\/lib\/docker holds containers/,
  ],
  'done: container stores in PERSIST': [
    { ...docker, ...podman, ...persist('/var/lib/docker:autostart,exec /var/lib/containers:autostart,exec') },
  ],
  'by hand: the twin: one is not in PERSIST': [
    { ...docker, ...podman, ...persist('/var/lib/docker:autostart,exec') },
    /^\/var\/lib\/containers\/storage holds containers.* add instead: PERSIST=\/var\/lib\/docker:autostart,exec \/var\/lib\/containers:autostart,exec$/,
  ],
  'by hand: the twin: without PERSIST_STORE': [
    { ...docker, ...persist('/var/lib/docker:autostart,exec', '') },
    /\/var\/lib\/docker holds containers.* set PERSIST_STORE to a directory of a data disk: PERSIST=\/var\/lib\/docker:autostart,exec$/,
  ],
  'done: open files as large as VAR_SIZE, in PERSIST': [
    { ...big, 'etc/immutafs/immutafs.conf': `VAR_SIZE=1m\n${persistText('/var/log')}` },
    /: 0 B of the 1\.0 MiB/,
  ],
  'done: open files as large as VAR_SIZE, on SCRATCH_DEVICE': [
    { ...big, ...scratch('/var/log') },
    /: 0 B of the 1\.0 MiB/,
  ],
});

/** Mounts a device on /var/log, where a file is open that is as large as VAR_SIZE. */
tableOf(([line, files]: readonly [string, Files]) => {
  const guest = guestWith({ ...big, ...files });
  guest.mounts['log'] = line;
  return guest;
})('var: file systems below /var', 'var', {
  'done: a data disk': [
    ['252:16 / /var/log rw,noexec,nosuid,nodev - xfs /dev/vdb rw', {}],
    /would be copied into memory: 0 B of/,
  ],
  'by hand: the twin: a volume of the system disk': [
    ['253:2 / /var/log rw - xfs /dev/mapper/rhel-home rw', {}],
    /\(100%\)/,
  ],
});

const overlay = (text: string) => ({ 'etc/immutafs/immutafs.conf': `OVERLAY=${text}\n`, 'opt/agent/x': '' });
table('var: OVERLAY', 'var', {
  'done: directories of the system disk': [
    overlay('/opt /opt/agent'),
    /Also writable in RAM in a sealed boot: \/opt \/opt\/agent\./,
  ],
  'done: a seed of the host: /etc is in RAM, but read-only': [
    overlay('/opt\nSEED=host'),
    /Also writable in RAM in a sealed boot: \/opt\./,
  ],
  'by hand: a refused path': [overlay('/opt /usr'), /OVERLAY: \/usr is refused: it holds the programs/],
  'by hand: /': [overlay('/'), /OVERLAY: \/ is refused: the whole system/],
  'by hand: a path that does not exist': [overlay('/srv/x'), /OVERLAY: \/srv\/x does not exist: create it/],
  'by hand: a file': [overlay('/opt/agent/x'), /\/opt\/agent\/x is not a directory/],
  'by hand: a link': [
    { ...overlay('/srv'), srv: { linkTo: 'opt' } },
    /OVERLAY: \/srv is a symbolic link: name the directory that it points to/,
  ],
  'by hand: a link above it': [
    { ...overlay('/srv/agent'), srv: { linkTo: 'opt' } },
    /\/srv\/agent leads through \/srv, which is a symbolic link/,
  ],
  'done: a file open for writing counts': [
    {
      ...overlay('/opt'),
      'proc/812/fd/7': { linkTo: '/opt/agent/x' },
      'proc/812/fdinfo/7': 'flags:\t0100001\n',
    },
    /\/opt\/agent\/x 0 B by rsyslogd/,
  ],
});

const sizes = suite('var: OVERLAY on other disks');
for (const [target, device, needed] of [
  ['/srv', '252:16 / /srv rw - xfs /dev/vdb rw', false],
  // The host makes this disk read-only, too.
  ['/opt', '252:16 / /opt rw - xfs /dev/vdb rw', true],
  ['/opt', '0:50 / /opt rw - tmpfs tmpfs rw', false],
  ['/opt', '252:1 / /opt rw - xfs /dev/vda1 rw', true],
] as const) {
  sizes(`${device}: an overlay is ${needed ? '' : 'not '}needed`, async () => {
    const guest = guestWith(overlay(target));
    guest.mounts['other'] = device;
    guest.files['srv/x'] = '';
    const { state, why } = await planned(guest, 'var');
    assert.is(state, 'done');
    const found = why.join(' ').includes(`OVERLAY: ${target} needs no overlay: ${target}`);
    assert.is(found, !needed, why.join(' '));
  });
}
sizes.run();
