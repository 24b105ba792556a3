import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { persist } from './persist.ts';
import { shells } from './shells.ts';

/** An item of PERSIST, and the reason for which it is refused before any mount is considered; undefined: accepted. */
const items: readonly [string, string?][] = [
  ['/', '/ is too much'],
  ['/usr', '/usr is too much'],
  ['/etc', '/etc is too much'],
  ['/var', '/var is too much'],
  ['/boot', '/boot determines the next boot'],
  ['/boot/loader', '/boot/loader determines the next boot'],
  ['/dev/shm', '/dev/shm is not on a disk'],
  ['/proc', '/proc is not on a disk'],
  ['/sys', '/sys is not on a disk'],
  ['/run/x', '/run/x is not on a disk'],
  ['/etc/immutafs', '/etc/immutafs configures this agent or the boot'],
  ['/etc/sysconfig/x', '/etc/sysconfig/x configures this agent or the boot'],
  ['/lib64', '/lib64 contains the programs of the system'],
  ['/etc/cron.d', 'programs are started from /etc/cron.d, or it grants access'],
  ['/etc/cron.d:autostart'],
  ['/etc/systemd/system', 'programs are started from /etc/systemd, or it grants access'],
  ['/etc/systemd/system:exec', 'programs are started from /etc/systemd, or it grants access'],
  ['/var/spool', 'programs are started from /var/spool/at, or it grants access'],
  ['/var/spool/cron:autostart,exec'],
  ['/var/spool/mail'],
  ['/usr/local', 'programs are started from /usr, or it grants access'],
  ['/usr/local:autostart'],
  ['/root/.ssh', 'programs are started from /root, or it grants access'],
  ['/home/alice', 'programs are started from /home, or it grants access'],
  ['/etc/cronological'],
  ['/opt/layer', '/opt/layer is also in OVERLAY'],
  ['/opt', 'the overlay on /opt/layer is below it'],
  ['/opt/layer/data'],
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

for (const [name, shell] of Object.entries(shells)) {
  const rules = suite(`${name}: paths of PERSIST`);
  rules('each path is accepted, or refused with its reason and with what to do', () => {
    const { stdout } = persist({
      shell,
      mode: 'maintenance',
      fstab:
        '/dev/vdb1 /data ext4 nofail 0 0\n# UUID=0 /var/lib/x ext4 x 0 0\nUUID=1 //var/lib/db/ ext4 x 0 0\n',
      run: `
mkdir -p /etc/systemd/system; : >'/etc/systemd/system/var-lib-a\\x2db.mount'
: >/usr/lib/systemd/system/var-lib-x.y.mount
mkdir -p /var/lib/db/x /var/spool/cron /var/spool/mail /opt/layer/data /etc/cron.d /etc/cronological /data/stores
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
    assert.equal(
      found.map(([item, reason = '']) => [item, dynamic(reason) ? '' : reason]),
      items.map(([item, reason = '']) => [item, reason]),
    );
  });
  rules('PERSIST_STORE is empty, or on the network', () => {
    const refused = (config: string, fstab: string) =>
      persist({ shell, mode: 'maintenance', config, fstab, run: 'check /var/lib/x' }).stdout.split('\n')[0] ??
      '';
    assert.is(refused('', ''), 'REASON=PERSIST_STORE is empty');
    for (const line of ['server:/x /data nfs defaults', '/dev/sda /data xfs _netdev'])
      assert.match(
        refused('PERSIST_STORE=/data/store\n', `${line} 0 0\n`),
        'REASON=/data is mounted when the network is up',
      );
    assert.is(refused('PERSIST_STORE=/data/store\n', 'server:/x /database nfs defaults 0 0\n'), '');
  });
  rules('a path that PERSIST does not name', () => {
    const { stdout } = persist({ shell, persist: '/var/lib/x', run: 'check /var/lib/y' });
    assert.match(stdout, /^REASON=PERSIST does not name it\n/);
  });
  rules.run();
}
