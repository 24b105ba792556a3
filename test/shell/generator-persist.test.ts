import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootEnv, generate, runVar, same, tmpfsAtVar } from './generator.ts';
import { shells } from './shells.ts';

const fstab = 'UUID=1 /data xfs nosuid,nodev 0 0\n';
const kept = (name: string, path: string) =>
  `${name}.mount: [Unit];Wants=immutafs-persist@${name}.service;After=immutafs-persist@${name}.service;Before=local-fs.target;ConditionPathExists=!/;[Mount];What=${path};Where=${path};Type=none;Options=bind`;
const service = (name: string, parent: string) =>
  `immutafs-persist@${name}.service.d/immutafs.conf: [Unit];Before=${name}.mount;RequiresMountsFor=${parent}`;
const target = (mounts: string) =>
  `immutafs-persist.target: [Unit];Description=File system of PERSIST_STORE;DefaultDependencies=no;${mounts}`;
const ofData = 'Wants=data.mount data-a\\x2db.mount;After=data.mount data-a\\x2db.mount';
const localFs = (names: string[], more = '') =>
  `local-fs.target.d/immutafs.conf: [Unit];Wants=${names.flatMap((name) => [`${name}.mount`, `immutafs-persist@${name}.service`]).join(' ')}${more}`;

for (const [name, shell] of Object.entries(shells)) {
  const generator = suite(`${name}: generator: PERSIST`);
  const units = (mode: string, persist: string, lines = fstab, store = '/data/a-b') =>
    generate(
      shell,
      {
        'run/immutafs/boot.env': bootEnv(mode),
        'etc/fstab': lines,
        'etc/immutafs/immutafs.conf': `PERSIST=${persist}\nPERSIST_STORE=${store}\n`,
      },
      tmpfsAtVar,
    ).written.filter((line) => !line.includes('immutafs-mount@data') && !runVar.slice(0, 1).includes(line));

  for (const mode of ['sealed', 'maintenance'] as const) {
    generator(`${mode}: a mount unit and a service for each path, wanted by local-fs.target`, () => {
      const more = mode === 'sealed' ? ';After=run-var.mount' : '';
      same(units(mode, '/var/lib/x /opt/my-agent:exec,suid /var/lib/x:dev'), [
        kept('var-lib-x', '/var/lib/x'),
        kept('opt-my\\x2dagent', '/opt/my-agent'),
        service('var-lib-x', '/var/lib'),
        service('opt-my\\x2dagent', '/opt'),
        target(ofData),
        localFs(['var-lib-x', 'opt-my\\x2dagent'], more),
      ]);
    });
  }

  generator('off, or without paths: no unit more than without the keys', () => {
    assert.equal(units('off', '/var/lib/x'), []);
    assert.equal(units('maintenance', ''), []);
    same(units('sealed', ''), runVar.slice(1));
  });

  generator('a path that is refused gets the service, which reports it, and no mount unit', () => {
    same(units('maintenance', '/ /var/spool/cron /srv', `${fstab}UUID=2 /srv/x ext4 defaults 0 0\n`), [
      'immutafs-persist@var-spool-cron.service.d/immutafs.conf: [Unit];RequiresMountsFor=/var/spool',
      target(ofData),
      'local-fs.target.d/immutafs.conf: [Unit];Wants=immutafs-persist@-.service immutafs-persist@var-spool-cron.service immutafs-persist@srv.service',
    ]);
    same(units('maintenance', '/srv', fstab, ''), [
      target('').replace(/;$/, ''),
      'local-fs.target.d/immutafs.conf: [Unit];Wants=immutafs-persist@srv.service',
    ]);
  });

  for (const [title, options, expected] of [
    ['nofail', 'nosuid,nofail', ofData],
    ['without nofail', 'nosuid,nodev', ofData],
    ['a store on the network is not waited for', 'nosuid,_netdev', ''],
  ] as const) {
    generator(title, () => {
      const written = units('maintenance', '/srv', `UUID=1 /data xfs ${options} 0 0\n`);
      assert.ok(written.includes(target(expected).replace(/;$/, '')), written.join('\n'));
    });
  }
  generator.run();
}
