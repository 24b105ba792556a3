import * as assert from 'uvu/assert';
import { persist } from './persist.ts';
import { inShells } from './shells.ts';

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

inShells('paths of PERSIST', (test, shell) => {
  test('each path is accepted, or refused with its reason and with what to do', () => {
    const { stdout } = persist({
      shell,
      mode: 'maintenance',
      fstab:
        '/dev/vdb1 /data ext4 nofail 0 0\n# UUID=0 /var/lib/x ext4 x 0 0\nUUID=1 //var/lib/db/ ext4 x 0 0\n',
      run: `
mkdir -p /etc/systemd/system; : >'/etc/systemd/system/var-lib-a\\x2db.mount'
: >/usr/lib/systemd/system/var-lib-x.y.mount
for item in ${items.map(([item]) => item).join(' ')}; do
  case $item in /dev* | /proc* | /sys* | /run* | /lib64 | /data/store | /data/store/*) ;; *) mkdir -p "\${item%%:*}" 2>/dev/null ;; esac
done
mkdir -p /var/lib/db/x
for item in ${items.map(([item]) => item).join(' ')}; do
  printf 'PERSIST=%s\\nOVERLAY=/opt/layer\\nPERSIST_STORE=/data/store\\n' "$item" >/etc/immutafs/immutafs.conf
  echo "ITEM=$item"; check "\${item%%:*}"
done`,
    });
    const found = stdout
      .split('ITEM=')
      .slice(1)
      .map((text) => {
        const [item = '', reason, remedy] = text.split('\n');
        if (reason?.startsWith('REASON=') === true) assert.match(remedy ?? '', /^REMEDY=./, item);
        return [item, reason?.replace('REASON=', '')] as const;
      });
    const dynamic = (reason: string) =>
      /on the disk of PERSIST_STORE|mount point|mounted without|an overlay that immutafs did not mount/.test(
        reason,
      );
    const expected = new Map(items.map(([item, reason]) => [item, reason]));
    for (const [item, reason = ''] of found) {
      const wanted = expected.get(item);
      if (wanted === undefined) assert.is(dynamic(reason) ? '' : reason, '', item);
      else assert.ok(reason.startsWith(wanted), `${item}: ${reason}`);
    }
    assert.equal(
      found.map(([item]) => item),
      items.map(([item]) => item),
    );
  });
  /** Returns what `check` prints for a path with each configuration and fstab. */
  const checked = (path: string, boots: readonly (readonly [config: string, fstab?: string])[]) => {
    const lines = boots.map(
      ([config, fstab]) => `printf '${config}' >/etc/immutafs/immutafs.conf
        ${fstab === undefined ? '' : `printf '${fstab}' >/etc/fstab`}
        echo "=$(check ${path})"`,
    );
    const disk = 'mkdir -p /srv/a/b /srv/ab';
    const { stdout } = persist({ shell, mode: 'maintenance', disk, run: lines.join('\n') });
    return stdout.split(/^=/m).slice(1);
  };
  test('a path with autostart below a kept path that is mounted in maintenance', () => {
    const outer = 'REASON=in maintenance, /srv/a would show what an earlier boot wrote to /srv/a/b\n';
    const rows = [
      ['/srv/a /srv/a/b:autostart', outer],
      ['/srv/a/b:exec,autostart /srv/a:exec', outer],
      ['/srv/a:autostart,maintenance /srv/a/b:autostart', outer],
      ['/srv/a:autostart /srv/a/b:autostart', ''],
      ['/srv/a /srv/a/b:autostart,maintenance', ''],
      ['/srv/a /srv/a/b', ''],
      ['/srv/ab /srv/a/b:autostart', ''],
    ] as const;
    const found = checked(
      '/srv/a/b',
      rows.map(([paths]) => [`PERSIST=${paths}\\nPERSIST_STORE=/data/store\\n`]),
    );
    rows.forEach(([paths, reason], index) => {
      const [text = ''] = found.slice(index);
      assert.ok(reason === '' ? text === '\n' : text.startsWith(reason), `${paths}: ${text}`);
    });
  });
  test('PERSIST_STORE is empty, or on the network', () => {
    const conf = 'PERSIST=/var/lib/x\\nPERSIST_STORE=/data/store\\n';
    const found = checked('/var/lib/x', [
      ['PERSIST=/var/lib/x\\n', ''],
      [conf, 'server:/x /data nfs defaults 0 0\\n'],
      [conf, '/dev/sda /data xfs _netdev 0 0\\n'],
      [conf, 'server:/x /database nfs defaults 0 0\\n'],
    ]);
    const network = 'REASON=/data is mounted when the network is up';
    const expected = ['REASON=PERSIST_STORE is empty', network, network, ''];
    assert.is(found.length, expected.length);
    found.forEach((text, index) => assert.ok(text.startsWith(expected[index] ?? '?'), text));
    assert.is(found[3], '\n');
  });
});
