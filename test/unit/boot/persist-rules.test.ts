import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isMountedIn, nameInStore } from '../../../agent/facts/boot/kept-paths.ts';
import { readFstab } from '../../../boot/guest/fstab.ts';
import { itemsOf, networkRefusal, persistRefusal, scratchRefusal } from '../../../boot/persist/rules.ts';
import type { BootReader } from '../../../boot/native/reader.ts';
import { escapePath } from '../../../boot/guest/units.ts';

const units = ['/etc/systemd/system/var-lib-a\\x2db.mount', '/usr/lib/systemd/system/var-lib-x.y.mount'];
const fstab = ['/data', '/var/lib/db'].map((target) => ({
  ...{ source: 'UUID=1', target, type: 'ext4', options: 'nofail', isDevice: true },
}));

/** Returns why an item of PERSIST is refused. @param values of the configuration */
function refusalOf(item: string, values: { PERSIST?: string; PERSIST_STORE?: string } = {}, lines = fstab) {
  const reader = { stat: (file: string) => (units.includes(file) ? 0 : undefined) } as BootReader;
  const config = { PERSIST: item, OVERLAY: '/opt/layer', PERSIST_STORE: '/data/store', ...values };
  const [found] = itemsOf(item);
  return found && persistRefusal(reader, config, lines, found);
}

/** An item of PERSIST, and the reason for which it is refused before any mount is considered; undefined: accepted. */
const items: readonly [string, string?][] = [
  ['/', 'PERSIST cannot name / itself'],
  ['/usr', 'PERSIST cannot name /usr itself'],
  ['/etc', 'PERSIST cannot name /etc itself'],
  ['/var', 'PERSIST cannot name /var itself'],
  ['/boot', '/boot determines the next boot'],
  ['/boot/loader', '/boot/loader determines the next boot'],
  ['/dev/shm', '/dev/shm is not on a disk'],
  ['/proc', '/proc is not on a disk'],
  ['/sys', '/sys is not on a disk'],
  ['/run/x', '/run/x is not on a disk'],
  ['/etc/immutafs', '/etc/immutafs configures this agent or the boot'],
  ['/etc/sysconfig/x', '/etc/sysconfig/x configures this agent or the boot'],
  ['/lib64', '/lib64 contains the programs of the system'],
  // A service that runs as root starts the plug-ins that are named in /etc/audit/plugins.d.
  ['/etc/audit', '/etc/audit is not only data: a service that runs as root starts programs from it'],
  ['/etc/audit:autostart'],
  ['/etc/cron.d', '/etc/cron.d is not only data: cron starts programs from it'],
  ['/etc/cron.d:autostart'],
  ['/etc/cronological', '/etc is not only data: services, logins and the boot are configured there'],
  ['/etc/cronological:autostart'],
  ['/etc/systemd/system', '/etc/systemd is not only data: systemd starts programs from it'],
  ['/etc/systemd/system:exec', '/etc/systemd is not only data: systemd starts programs from it'],
  ['/etc/network', '/etc/network is not only data: a changed network connection starts programs from it'],
  ['/etc/alternatives', '/etc/alternatives is not only data: every program loads libraries that it names'],
  ['/var/spool', '/var/spool/at is not only data: at starts jobs from it'],
  ['/var/spool/cron:autostart,exec'],
  ['/var/spool/mail'],
  ['/var/lib', '/var/lib/PackageKit is not only data: the package manager runs scripts from it, and'],
  ['/var/lib/rpm', '/var/lib/rpm is not only data: the package manager runs scripts from it, and'],
  ['/var/lib/dpkg/info', '/var/lib/dpkg is not only data: the package manager runs scripts from it, and'],
  ['/var/lib/dpkg-data'],
  ['/var/lib/systemd', '/var/lib/systemd is not only data: systemd keeps the state of units'],
  ['/var/lib/systemd/timers'],
  ['/var/lib/systemd/linger', '/var/lib/systemd/linger is not only data: systemd starts the services of'],
  ['/var/lib/sss', '/var/lib/sss is not only data: it caches logins, groups and sudo rules'],
  ['/var/lib/sss/keytabs'],
  ['/var/lib/pgsql'],
  ['/var/lib/pacemaker', '/var/lib/pacemaker is not only data: resource agents run as root what its'],
  ['/var/lib/pacemaker:autostart'],
  ['/var/lib/pcsd', '/var/lib/pcsd is not only data: it decides which nodes may run commands as root'],
  ['/var/lib/corosync'],
  ['/var/cache/bind'],
  ['/var/cache/vendor', '/var/cache/vendor is not known to be data, and programs may be started from it'],
  ['/var/backups/pg'],
  ['/var/kerberos'],
  ['/srv/www'],
  ['/srv', '/srv/pillar is not only data: an agent that runs as root starts programs'],
  ['/var/cache/dnf', '/var/cache/dnf is not known to be data, and programs may be started from it'],
  ['/app', '/app is not known to be data, and programs may be started from it'],
  ['/app:autostart'],
  ['/usr/local', '/usr is not only data: services start programs from it'],
  ['/usr/local:autostart'],
  ['/root/.ssh', '/root is not only data: shells and user services start programs'],
  ['/home/alice', '/home is not only data: shells and user services start programs'],
  ['/opt/agent', '/opt is not only data: services start programs from it'],
  ['/opt/layer:autostart', '/opt/layer is also in OVERLAY'],
  ['/opt:autostart', 'the overlay on /opt/layer is below it'],
  ['/opt/layer/data:autostart'],
  ['/data', '/data contains PERSIST_STORE'],
  ['/data/store', '/data/store contains PERSIST_STORE'],
  ['/data/store/x', '/data/store/x is in PERSIST_STORE'],
  ['/data/stores'],
  ['/var/lib/db', '/etc/fstab mounts a file system on /var/lib/db'],
  ['/var/lib:autostart', '/etc/fstab mounts a file system on /var/lib/db'],
  ['/var/lib/db/x'],
  ['/var/lib/a-b', '/etc/systemd/system/var-lib-a\\x2db.mount mounts a file system on /var/lib/a-b'],
  ['/var/lib/x.y', '/usr/lib/systemd/system/var-lib-x.y.mount mounts a file system on /var/lib/x.y'],
  ['/var/lib/x'],
];

const test = suite('rules of PERSIST and SCRATCH');
for (const [item, reason] of items) {
  test(`PERSIST=${item}: ${reason === undefined ? 'accepted' : 'refused'}`, () => {
    const refusal = refusalOf(item);
    assert.is(refusal?.reason.slice(0, reason?.length), reason);
    if (reason !== undefined) assert.match(refusal?.remedy ?? '', /./);
  });
}
for (const [PERSIST, isRefused] of [
  ['/srv/a /srv/a/b:autostart', true],
  ['/srv/a/b:exec,autostart /srv/a:exec', true],
  ['/srv/a:autostart,maintenance /srv/a/b:autostart', true],
  ['/srv/a:autostart /srv/a/b:autostart', false],
  ['/srv/a /srv/a/b:autostart,maintenance', false],
  ['/srv/a /srv/a/b', false],
  ['/srv/ab /srv/a/b:autostart', false],
] as const) {
  test(`PERSIST=${PERSIST}: an inner path that only a sealed boot mounts`, () => {
    const [item = ''] = PERSIST.split(' ').filter((each) => each.startsWith('/srv/a/b'));
    const refusal = refusalOf(item, { PERSIST });
    const reason = 'in maintenance, /srv/a would show what an earlier boot wrote to /srv/a/b';
    assert.is(refusal?.reason, isRefused ? reason : undefined);
  });
}
for (const [item, isRefused] of [
  ['/var/lib/immutafs', true],
  ['/var/lib/immutafs:autostart', true],
  ['/var/lib/immutafs/backup', true],
  ['/var/lib:autostart,maintenance', true],
  ['/var/lib:autostart', false],
  ['/var/lib/immutafs-data', false],
] as const) {
  test(`PERSIST=${item}: the records of prepare`, () => {
    const reason = 'the boot that moves data would not find what prepare has recorded in /var/lib/immutafs';
    assert.is(refusalOf(item, {}, [])?.reason, isRefused ? reason : undefined);
  });
}
test('without a store, nothing is kept', () => {
  assert.is(refusalOf('/var/lib/x', { PERSIST_STORE: '' })?.reason, 'PERSIST_STORE is empty');
});
test('a path with autostart is not mounted while the system disk is writable', () => {
  for (const [boot, options, isMounted] of [
    [{ mode: 'maintenance' }, ['autostart'], false],
    [{ mode: 'sealed', rehearsal: '900' }, ['autostart'], false],
    [{ mode: 'sealed' }, ['autostart'], true],
    [{ mode: 'maintenance' }, ['autostart', 'maintenance'], true],
    [{ mode: 'maintenance' }, [], true],
  ] as const)
    assert.is(isMountedIn(options, boot), isMounted, `${boot.mode} ${options.join()}`);
});
test('SCRATCH: paths at, above and below others of the configuration', () => {
  const config = {
    PERSIST: '/var/lib/a /srv/p:exec',
    OVERLAY: '/opt/layer',
    SCRATCH: '/var/cache/s /var/cache/s/in',
  };
  for (const [path, reason] of [
    ['/var/cache/t'],
    ['/var/cache/s', '/var/cache/s/in, also in the configuration, is below it'],
    ['/var/cache/s/in', 'it is below /var/cache/s, also in the configuration'],
    ['/var/lib', '/var/lib/a, also in the configuration, is below it'],
    ['/srv/p/x', 'it is below /srv/p, also in the configuration'],
    ['/opt/layer', 'PERSIST or OVERLAY names it, too'],
    ['/srv/pp'],
  ])
    assert.is(scratchRefusal(config, path ?? '')?.reason, reason, path);
});
test('a store is local only if that is known', () => {
  const below = 'UUID=1 /a xfs x 0 0\nserver:/x /b nfs x 0 0\n';
  for (const [text, isKnown] of [
    ['UUID=1 /data xfs nofail', true],
    ['/dev/vdb /data ext4,xfs nofail', true],
    ['LABEL=x /data auto nofail', true],
    ['server:/x /data auto nofail', false],
    ['UUID=1 /data xfs _netdev', false],
    ['/dev/vdb /data gfs2 nofail', false],
    ['/dev/vdb /data xfs,gfs2 nofail', false],
    ['/dev/vdb /data newfs nofail', false],
    ['/dev/vdb /data', false],
    ['name#x /data fuse.new nofail', false],
    ['/a/store /data none bind', true],
    ['/srv/store /data none bind', true],
    ['/b/store /data none bind', false],
    ['/a/store /data none bind,_netdev', false],
    ['a /data none bind', false],
  ] as const) {
    const lines = readFstab({ readIfPresent: () => `${below}${text}\n` } as unknown as BootReader);
    assert.is(networkRefusal(lines, '/data/store') === undefined, isKnown, text);
  }
  assert.is(networkRefusal([], '/data/store'), undefined);
});
test('names in the store, and names of units', () => {
  for (const [path, name, unit] of [
    ['/var/lib/x', 'var=lib=x', 'var-lib-x'],
    ['/srv/a-b/.c', 'srv=a-b=.c', 'srv-a\\x2db-.c'],
    ['/.a/b+c@d_e', '.a=b+c@d_e', '\\x2ea-b\\x2bc\\x40d_e'],
    ['/', '=', '-'],
  ] as const)
    assert.equal([nameInStore(path), escapePath(path)], [name, unit]);
});
test.run();
