import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keys } from '../../../../../agent/config/keys.ts';
import {
  knownWriterOf,
  knownWriters,
  scriptletFiles,
  ownPeriods,
} from '../../../../../agent/prepare/steps/writes/writers.ts';
import type { LoggedAction } from '../../../../../agent/prepare/engine/action-log.ts';

const writers = suite('known writers');

/** Maps a path to the id of its row; every row occurs. */
const rows: readonly (readonly [string, string | undefined])[] = [
  ['/etc/krb5.keytab', 'keytab'],
  ['/etc/krb5.keytab.tmp', 'keytab'],
  ['/etc/krb5.conf', undefined],
  ['/etc/cron.d/job', undefined],
  ['/etc/pki/tls/certs/localhost.crt', 'web-server-key'],
  ['/etc/pki/tls/private/host.key', 'certmonger'],
  ['/var/lib/certmonger/requests/1', 'certmonger'],
  ['/etc/pki/entitlement/1.pem', 'subscription-manager'],
  ['/etc/yum.repos.d/redhat.repo', 'subscription-manager'],
  ['/etc/yum.repos.d/other.repo', undefined],
  ['/etc/insights-client/.lastupload', 'insights-client'],
  ['/etc/cloud/cloud.cfg.d/x', 'cloud-init'],
  ['/etc/audit/audit.rules', 'augenrules'],
  ['/etc/audit/rules.d/x.rules', undefined],
  ['/etc/tuned/active_profile', 'tuned'],
  ['/etc/tuned/mine/tuned.conf', undefined],
  ['/etc/resolv.conf', 'resolv.conf'],
  ['/etc/NetworkManager/system-connections/eth0.nmconnection', 'NetworkManager'],
  ['/etc/sysconfig/network-scripts/ifcfg-eth0', 'NetworkManager'],
  ['/etc/hostname', 'host-name'],
  ['/var/lib/chrony/drift', 'chrony'],
  ['/etc/cups/subscriptions.conf', 'cups'],
  ['/boot/initramfs-3.10.0-862.el7.x86_64kdump.img', 'kdump'],
  ['/boot/grub2/grubenv', 'boot-success'],
  ['/boot/initramfs-3.10.0-862.el7.x86_64.img', 'boot-loader'],
  ['/system-update', 'offline-update'],
  ['/var/cache/dnf/x', 'package-managers'],
  ['/var/lib/unbound/root.key', 'unbound'],
  ['/etc/adjtime', 'hwclock'],
  ['/etc/ssh/ssh_host_rsa_key', 'host-keys'],
  ['/etc/ssh/sshd_config', undefined],
  ['/etc/cni/net.d/cni.lock', 'podman-networks'],
  ['/root/.local/share/containers/storage/db.sql', 'containers'],
  ['/swapfile', 'swap-file'],
  ['/opt/swapfile', undefined],
  ['/etc/mtab', 'mtab'],
  ['/var/lib/logrotate/logrotate.status', 'logrotate'],
  ['/var/lib/mlocate/mlocate.db', 'mlocate'],
  ['/root/.bash_history', 'shell-history'],
  ['/root/.cache/x', 'user-caches'],
  ['/root/.ssh/authorized_keys', undefined],
  ['/etc/passwd-', 'accounts'],
  ['/etc/passwd.evil', undefined],
  ['/etc/lvm/archive/rhel_00001.vg', 'lvm'],
  ['/etc/vdoconf.yml', 'vdo'],
  ['/etc/multipath/wwids', 'multipath'],
  ['/etc/ld.so.cache', 'system-caches'],
  ['/usr/lib/modules/5.14/modules.dep', 'system-caches'],
  ['/usr/lib/python3.9/site-packages/a/__pycache__/b.pyc', 'python-bytecode'],
  ['/usr/lib/sysimage/rpm/rpmdb.sqlite-shm', 'package-database'],
  ['/etc/immutafs/immutafs.conf', 'immutafs'],
  ['/u01/oradata/ORCL/system01.dbf', undefined],
  ['/opt/agent/state', undefined],
  ['/usr/bin/new', undefined],
];

writers('each path has its row, and similar paths do not', () => {
  for (const [path, id] of rows) assert.is(knownWriterOf(path)?.id, id, path);
  const tested = new Set(rows.map(([, id]) => id));
  assert.equal(
    knownWriters.map(({ id }) => id).filter((id) => !tested.has(id)),
    [],
  );
});

writers('the choice of rows by the top-level folder loses no row', () => {
  for (const [path] of rows) {
    const row = knownWriters.find(({ paths }) => paths.test(path));
    if (row !== undefined) assert.is(knownWriterOf(path), row, path);
  }
});

writers('each row has its own id, advice and a source', () => {
  assert.is(new Set(knownWriters.map(({ id }) => id)).size, knownWriters.length);
  for (const { id, advice, source } of knownWriters) {
    assert.ok(advice.endsWith('.') && source.length > 3, id);
    assert.match(advice + source, /^[ -~]+$/, `${id}: ASCII`);
  }
});

writers('the directories are valid in the configuration, and match their own row', () => {
  for (const { id, outcome, directories = [], paths } of knownWriters) {
    assert.is(directories.length > 0, outcome === 'overlay', id);
    const { goodItem } = keys.OVERLAY;
    assert.ok(
      directories.every((each) => goodItem?.(each) === true),
      id,
    );
    assert.ok(
      directories.every((each) => paths.test(each.replace(/:.*/, ''))),
      id,
    );
  }
});

writers('only places where scriptlets write count as written by them', () => {
  const yes = ['/usr/share/mime/mime.cache', '/etc/systemd/system/multi-user.target.wants/x.service'];
  const no = ['/opt/agent/x', '/root/x', '/usr/local/bin/x', '/etc/agent.conf', '/srv/x'];
  assert.ok(yes.every((path) => scriptletFiles.test(path)));
  assert.not.ok(no.some((path) => scriptletFiles.test(path)));
});
writers.run();

const own = suite('periods in which prepare worked');
const entry = (began: string, ended: string | null, action: Partial<LoggedAction['action']>): LoggedAction =>
  ({ number: 1, step: 'etc', action, began, ended, problem: null, backup: null }) as LoggedAction;
const at = (seconds: number) => new Date(seconds * 1000).toISOString();

own('an action has its period, an interrupted one a minute', () => {
  const log = [entry(at(100), at(103), { do: 'edit' }), entry(at(500), null, { do: 'run' })];
  assert.equal(ownPeriods(log), [
    { from: 99, to: 104 },
    { from: 499, to: 561 },
  ]);
});

own('a copy of /home that takes hours hides nothing', () => {
  assert.equal(ownPeriods([entry(at(100), at(9000), { do: 'copy-home' } as object)]), []);
});

own('a damaged time hides nothing', () => {
  assert.equal(
    ownPeriods([entry('yesterday', at(9000), { do: 'edit' }), entry(at(1), 'x', { do: 'edit' })]),
    [],
  );
});
own.run();
