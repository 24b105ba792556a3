import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { bootEnv, foundMount, generate, runVar, same, tmpfsAtVar } from './generator.ts';
import { shells } from './shells.ts';

const fstab = 'UUID=1 /data xfs nosuid,nodev 0 0\n';
const kept = (name: string, path: string) =>
  foundMount(
    name,
    path,
    'Wants=immutafs-persist.service;After=immutafs-persist.service;Before=local-fs.target',
  );
/**
 * Returns the drop-in of the service.
 * @param command the arguments of mount-persisted
 * @param awaited mount units that the service waits for; it wants only that of the store, which exists
 * @param names the mount units of the kept paths
 */
const service = (command: string, awaited: readonly string[], names: readonly string[]) => {
  const [store, mountPoint, ...items] = command.split(' ');
  return [
    `immutafs-persist.service.d/immutafs.conf: [Service]`,
    'ExecStart=',
    `ExecStart=/usr/libexec/immutafs/mount-persisted ${[`${store} ${mountPoint}`, ...items].join(' \\;')}`,
    '[Unit]',
    ...awaited.map((each) => `${each === 'data' ? 'Wants=data.mount;' : ''}After=${each}.mount`),
    ...names.map((each) => `Before=${each}.mount;PartOf=${each}.mount`),
  ].join(';');
};
const ofData = ['data', 'data-a\\x2db'];
const localFs = (more = '') =>
  `local-fs.target.d/immutafs.conf: [Unit];Wants=immutafs-persist.service${more}`;

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
    generator(
      `${mode}: a mount unit for each path, and one service, for which alone local-fs.target waits`,
      () => {
        const more = mode === 'sealed' ? ';After=run-var.mount' : '';
        const names = ['var-lib-x', 'srv-my\\x2dagent'];
        same(units(mode, '/var/lib/x /srv/my-agent:exec,suid /var/lib/x:dev'), [
          kept('var-lib-x', '/var/lib/x'),
          kept('srv-my\\x2dagent', '/srv/my-agent'),
          service(
            '/data/a-b /data /var/lib/x /srv/my-agent:exec,suid',
            [...ofData, 'var', 'var-lib', 'srv'],
            names,
          ),
          localFs(more),
        ]);
      },
    );
  }

  generator('a path below another one: the service does not wait for what it mounts itself', () => {
    const names = ['srv-a-b-c', 'srv-a'];
    same(units('maintenance', '/srv/a/b/c /srv/a'), [
      kept('srv-a-b-c', '/srv/a/b/c'),
      kept('srv-a', '/srv/a'),
      service('/data/a-b /data /srv/a/b/c /srv/a', [...ofData, 'srv', 'srv-a-b'], names),
      localFs(),
    ]);
  });

  generator('paths of OVERLAY do not change the paths of PERSIST', () => {
    const lines = generate(
      shell,
      {
        'run/immutafs/boot.env': bootEnv('maintenance'),
        'etc/fstab': fstab,
        'etc/immutafs/immutafs.conf':
          'OVERLAY=/opt/a /root:noexec\nPERSIST=/srv/x:exec /opt/a\nPERSIST_STORE=/data/a-b\n',
      },
      tmpfsAtVar,
    ).written;
    const expected = service('/data/a-b /data /srv/x:exec -- /opt/a', [...ofData, 'srv', 'opt'], ['srv-x']);
    assert.ok(lines.includes(expected), lines.join('\n'));
  });

  generator('off, or without paths: no unit more than without the keys', () => {
    assert.equal(units('off', '/var/lib/x'), []);
    assert.equal(units('maintenance', ''), []);
    same(units('sealed', ''), runVar.slice(1));
  });

  const cron = kept('var-spool-cron', '/var/spool/cron');
  const cronOnly = (options: string) => [
    cron,
    service(
      `/data/a-b /data /var/spool/cron:${options}`,
      [...ofData, 'var', 'var-spool'],
      ['var-spool-cron'],
    ),
  ];
  const autostart = (env: string, options: string, more = '') =>
    generate(
      shell,
      {
        'run/immutafs/boot.env': `${bootEnv(env)}${more}`,
        'etc/fstab': fstab,
        'etc/immutafs/immutafs.conf': `PERSIST=/var/spool/cron:${options}\nPERSIST_STORE=/data/a-b\n`,
      },
      tmpfsAtVar,
    ).written;

  generator('a path with autostart is not mounted while the system disk is writable', () => {
    for (const line of cronOnly('autostart'))
      assert.ok(autostart('sealed', 'autostart').includes(line), line);
    assert.equal(autostart('maintenance', 'autostart'), []);
    const rehearsal = autostart('sealed', 'autostart', 'REHEARSAL=900\n').join('\n');
    assert.not.match(rehearsal, /immutafs-persist|var-spool-cron/);
    assert.match(rehearsal, /rehearsal/);
  });
  generator('with maintenance, it is mounted in maintenance boots and in a rehearsal, too', () => {
    const options = 'autostart,maintenance';
    for (const written of [
      autostart('sealed', options),
      autostart('maintenance', options),
      autostart('sealed', options, 'REHEARSAL=900\n'),
    ])
      for (const line of cronOnly(options)) assert.ok(written.includes(line), line);
  });

  generator('a path that is refused is left to the service, which reports it, and has no mount unit', () => {
    // The file system that fstab mounts on the refused path is waited for.
    same(
      units(
        'maintenance',
        '/ /var/spool/cron /srv/www /srv/www/y',
        `${fstab}UUID=2 /srv/www ext4 defaults 0 0\n`,
      ),
      [
        kept('srv-www-y', '/srv/www/y'),
        service(
          '/data/a-b /data /srv/www/y -- / /var/spool/cron /srv/www',
          [...ofData, 'var', 'var-spool', 'srv', 'srv-www'],
          ['srv-www-y'],
        ),
        localFs(),
      ],
    );
    same(units('maintenance', '/srv/www', fstab, ''), [service('- - -- /srv/www', ['srv'], []), localFs()]);
  });

  for (const [title, options, awaited, items] of [
    ['nofail', 'nosuid,nofail', ofData, '/srv/www'],
    ['without nofail', 'nosuid,nodev', ofData, '/srv/www'],
    ['a store on the network is not waited for', 'nosuid,_netdev', [], '-- /srv/www'],
  ] as const) {
    generator(title, () => {
      const written = units('maintenance', '/srv/www', `UUID=1 /data xfs ${options} 0 0\n`);
      assert.ok(
        written.includes(service(`/data/a-b /data ${items}`, [...awaited, 'srv'], ['srv-www'])),
        written.join('\n'),
      );
    });
  }

  generator('the mount unit of an administrator is wanted, and units that do not exist are not', () => {
    const written = generate(shell, {
      'run/immutafs/boot.env': bootEnv('maintenance'),
      'etc/immutafs/immutafs.conf': 'PERSIST=/srv/x/y\nPERSIST_STORE=/data/store\n',
      'etc/systemd/system/data.mount': '',
    }).written;
    const expected = service('/data/store - /srv/x/y', ['data', 'data-store', 'srv', 'srv-x'], ['srv-x-y']);
    assert.ok(written.includes(expected), written.join('\n'));
  });

  generator('many paths: no line is too long for systemd 219', () => {
    const all = Array.from({ length: 60 }, (_, n) => `/srv/${'directory'.repeat(4)}-${n}:exec`);
    const written = units('maintenance', all.join(' '));
    const dropin = written.find((line) => line.startsWith('immutafs-persist.service.d/')) ?? '';
    assert.ok(all.every((item) => dropin.includes(item)));
    const lengths = written.flatMap((file) => file.split(';').map((line) => line.length));
    assert.ok(Math.max(...lengths) < 2048, `${Math.max(...lengths)}`);
  });
  generator.run();
}
