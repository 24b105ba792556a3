/** The units that immutafs-generator writes for OVERLAY, PERSIST and SCRATCH. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  device,
  foundMount,
  generate,
  kept,
  mount,
  runVar,
  same,
  service,
} from '../../../harness/generator.ts';

const [runVarUnit = ''] = runVar;
const before = 'Before=local-fs.target';
const localFs = (wants: readonly string[], mode = 'sealed') =>
  `local-fs.target.d/immutafs.conf: [Unit];${[...wants.map((each) => `Wants=${each}`), ...(mode === 'sealed' ? ['After=run-var.mount'] : [])].join(';')}`;

{
  const test = suite('generator, OVERLAY');
  /** Returns what the generator writes. @param lines records of the initramfs */
  const overlays = (
    value: string,
    lines: readonly string[],
    fstab: string,
    mounts?: Readonly<Record<string, string>>,
  ) =>
    generate({
      config: `OVERLAY=${value}\n`,
      record: lines.map((line) => `OVERLAY=${line}\n`).join(''),
      ...{ fstab, ...(mounts === undefined ? {} : { mounts }) },
    });
  /** The units of a directory that is no mount point in fstab. */
  const ofDirectory = (name: string, target: string, above: string) => [
    ...[service(name, `;RequiresMountsFor=${above}`), mount(name), foundMount(name, target, before)],
    localFs([`${name}.mount`, `immutafs-var@${name}.service`]),
  ];

  test('a file system of fstab: the service runs before its mount', () => {
    const fstab = 'UUID=1 / xfs ro 0 0\n/dev/vdx1 /opt xfs ro 0 0\n/dev/vdx2 /srv xfs ro 0 0\n';
    same(overlays('/opt:noexec', ['/opt deferred'], fstab), [
      ...[service('opt', device('dev-vdx1.device')), mount('opt')],
      ...[service('srv', device('dev-vdx2.device'), 'mount'), mount('srv', 'mount'), ...runVar],
    ]);
  });

  test('a directory below it: a unit for which others wait, after the mount above it', () => {
    const records = ['/opt deferred', '/opt/my-agent deferred', '/opt begun', '/opt overlay'];
    same(overlays('/opt/my-agent /opt', records, '/dev/vdx1 /opt xfs ro 0 0\n'), [
      ...[service('opt', device('dev-vdx1.device')), mount('opt'), runVarUnit],
      ...ofDirectory('opt-my\\x2dagent', '/opt/my-agent', '/opt'),
    ]);
  });

  test('an automount of OVERLAY is mounted at boot', () => {
    const found = overlays('/opt', ['/opt deferred'], '/dev/vdx1 /opt xfs noauto,x-systemd.automount 0 0\n');
    const idle = 'opt.automount.d/immutafs.conf: [Unit];ConditionPathExists=!/';
    assert.ok(found.includes(idle), found.join('\n'));
  });

  test('an overlay of the initramfs is kept at shutdown; paths without one get no units', () => {
    const found = overlays(
      '/root /srv /usr /opt',
      ['/root overlay', '/srv missing it does not exist', '/usr refused why', '/opt unneeded why'],
      '',
      { '/var': 'tmpfs', '/root': 'overlay', '/run/immutafs/root': 'tmpfs' },
    );
    same(found, kept(['/run/var', '/root', '/run/immutafs/root']));
  });

  test('without a record of the initramfs: each path that can get an overlay', () => {
    const fstab =
      '/dev/vdx1 /opt xfs ro 0 0\nserver:/x /net nfs defaults 0 0\n/dev/vdx1 /noauto xfs noauto 0 0\n';
    same(overlays('/srv/x /usr /net/a /opt /noauto', [], fstab), [
      ...[service('opt', device('dev-vdx1.device')), mount('opt'), runVarUnit],
      ...ofDirectory('srv-x', '/srv/x', '/srv'),
    ]);
  });

  test('in maintenance: nothing', () => {
    const fstab = '/dev/vdx1 /opt xfs defaults 0 0\n';
    same(generate({ mode: 'maintenance', config: 'OVERLAY=/opt /root\n', fstab }), []);
  });
  test.run();
}

const ofService = (unit: string) => `Wants=${unit}.service;After=${unit}.service;${before}`;
const persisted = (name: string, path: string) => foundMount(name, path, ofService('immutafs-persist'));
/**
 * Returns the drop-in of the service.
 * @param command the arguments of the command `persist`
 * @param awaited mount units that the service waits for; it wants only that of the store, which exists
 * @param names the mount units of the kept paths
 */
const persistService = (command: string, awaited: readonly string[], names: readonly string[]) => {
  const [store, mountPoint, ...items] = command.split(' ');
  return [
    `immutafs-persist.service.d/immutafs.conf: [Service]`,
    'ExecStart=',
    `ExecStart=/usr/libexec/immutafs/immutafs-boot persist ${[`${store} ${mountPoint}`, ...items].join(' \\;')}`,
    '[Unit]',
    ...awaited.map((each) => `${each === 'data' ? 'Wants=data.mount;' : ''}After=${each}.mount`),
    ...names.map((each) => `Before=${each}.mount;PartOf=${each}.mount`),
  ].join(';');
};
const ofData = ['data', 'data-a\\x2db'];
const dataLine = 'UUID=1 /data xfs nosuid,nodev 0 0\n';

{
  const test = suite('generator: PERSIST');
  const units = (
    mode: string,
    persist: string,
    more: { fstab?: string; store?: string; record?: string } = {},
  ) => {
    const { fstab = dataLine, store = '/data/a-b', record = '' } = more;
    const config = `PERSIST=${persist}\nPERSIST_STORE=${store}\n`;
    const found = generate({ mode, record, config, fstab });
    return found.filter((line) => !line.includes('immutafs-mount@data') && line !== runVarUnit);
  };
  const ofPersist = (mode = '') => localFs(['immutafs-persist.service'], mode);
  const includes = (found: readonly string[], ...expected: readonly string[]) => {
    for (const line of expected) assert.ok(found.includes(line), `${line}\n\n${found.join('\n')}`);
  };

  for (const mode of ['sealed', 'maintenance'] as const) {
    test(`${mode}: a mount unit for each path, and one service, for which alone local-fs.target waits`, () => {
      const items = '/var/lib/x /srv/my-agent:exec,suid';
      const names = ['var-lib-x', 'srv-my\\x2dagent'];
      same(units(mode, `${items} /var/lib/x:dev`), [
        persisted('var-lib-x', '/var/lib/x'),
        persisted('srv-my\\x2dagent', '/srv/my-agent'),
        persistService(`/data/a-b /data ${items}`, [...ofData, 'var', 'var-lib', 'srv'], names),
        ofPersist(mode),
      ]);
    });
  }

  test('a path below another one: the service does not wait for what it mounts itself', () => {
    const [items, names] = ['/srv/a/b/c /srv/a', ['srv-a-b-c', 'srv-a']];
    same(units('maintenance', items), [
      ...[persisted('srv-a-b-c', '/srv/a/b/c'), persisted('srv-a', '/srv/a'), ofPersist()],
      persistService(`/data/a-b /data ${items}`, [...ofData, 'srv', 'srv-a-b'], names),
    ]);
  });

  test('paths of OVERLAY do not change the paths of PERSIST', () => {
    includes(
      units('maintenance', '/srv/x:exec /opt/a\nOVERLAY=/opt/a /root:noexec'),
      persistService('/data/a-b /data /srv/x:exec -- /opt/a', [...ofData, 'srv', 'opt'], ['srv-x']),
    );
  });

  test('off, or without paths: no unit more than without the keys', () => {
    same(units('off', '/var/lib/x'), []);
    same(units('maintenance', ''), []);
    same(units('sealed', ''), runVar.slice(1));
  });

  const cron = (mode: string, options: string, record = '') =>
    units(mode, `/var/spool/cron:${options}`, { record });
  const cronUnits = (options: string) => [
    persisted('var-spool-cron', '/var/spool/cron'),
    persistService(
      `/data/a-b /data /var/spool/cron:${options}`,
      [...ofData, 'var', 'var-spool'],
      ['var-spool-cron'],
    ),
  ];
  test('a path with autostart is not mounted while the system disk is writable', () => {
    includes(cron('sealed', 'autostart'), ...cronUnits('autostart'));
    same(cron('maintenance', 'autostart'), []);
    const rehearsal = cron('sealed', 'autostart', 'REHEARSAL=900\n').join('\n');
    assert.not.match(rehearsal, /immutafs-persist|var-spool-cron/);
    assert.match(rehearsal, /rehearsal/);
  });
  test('with maintenance, it is mounted in maintenance boots and in a rehearsal, too', () => {
    const options = 'autostart,maintenance';
    for (const [mode, record] of [['sealed'], ['maintenance'], ['sealed', 'REHEARSAL=900\n']] as const)
      includes(cron(mode, options, record), ...cronUnits(options));
  });

  test('a path that is refused is left to the service, which reports it, and has no mount unit', () => {
    // The file system that fstab mounts on the refused path is waited for.
    const fstab = `${dataLine}UUID=2 /srv/www ext4 defaults 0 0\n`;
    same(units('maintenance', '/ /var/spool/cron /srv/www /srv/www/y', { fstab }), [
      persisted('srv-www-y', '/srv/www/y'),
      persistService(
        '/data/a-b /data /srv/www/y -- / /var/spool/cron /srv/www',
        [...ofData, 'var', 'var-spool', 'srv', 'srv-www'],
        ['srv-www-y'],
      ),
      ofPersist(),
    ]);
    same(units('maintenance', '/srv/www', { store: '' }), [
      persistService('- - -- /srv/www', ['srv'], []),
      ofPersist(),
    ]);
  });

  for (const [title, options, awaited, items] of [
    ['nofail', 'nosuid,nofail', ofData, '/srv/www'],
    ['without nofail', 'nosuid,nodev', ofData, '/srv/www'],
    ['a store on the network is not waited for', 'nosuid,_netdev', [], '-- /srv/www'],
  ] as const) {
    test(title, () =>
      includes(
        units('maintenance', '/srv/www', { fstab: `UUID=1 /data xfs ${options} 0 0\n` }),
        persistService(`/data/a-b /data ${items}`, [...awaited, 'srv'], ['srv-www']),
      ),
    );
  }

  test('the mount unit of an administrator is wanted, and units that do not exist are not', () => {
    const found = generate({
      mode: 'maintenance',
      config: 'PERSIST=/srv/x/y\nPERSIST_STORE=/data/store\n',
      files: { 'etc/systemd/system/data.mount': '' },
    });
    includes(
      found,
      persistService('/data/store - /srv/x/y', ['data', 'data-store', 'srv', 'srv-x'], ['srv-x-y']),
    );
  });

  test('many paths: no line is too long for systemd 219', () => {
    const all = Array.from({ length: 60 }, (_, n) => `/srv/${'directory'.repeat(4)}-${n}:exec`);
    const found = units('maintenance', all.join(' '));
    const dropin = found.find((line) => line.startsWith('immutafs-persist.service.d/')) ?? '';
    assert.ok(all.every((item) => dropin.includes(item)));
    const longest = Math.max(...found.flatMap((file) => file.split(';').map((line) => line.length)));
    assert.ok(longest < 2048, `${longest}`);
  });
  test.run();
}

const scratchDevice = String.raw`dev-disk-by\x2did-virtio\x2dscratch.device`;

{
  const test = suite('generator: SCRATCH');
  const units = (mode: string, scratch: string, link = '/dev/disk/by-id/virtio-scratch') =>
    generate({ mode, config: `SCRATCH=${scratch}\nSCRATCH_DEVICE=${link}\n` }).filter(
      (line) => line !== runVarUnit,
    );
  const found = (name: string, path: string) => foundMount(name, path, ofService('immutafs-scratch'));
  const ofScratch = localFs(['immutafs-scratch.service']);

  test('a sealed boot: a mount unit for each path, and a limit for the device', () => {
    const [disk, discard] = [String.raw`run-immutafs-scratch\x2ddisk`, 'immutafs-scratch-discard.service'];
    same(units('sealed', '/var/cache/x /srv/store:empty /var/cache/x:copy /etc'), [
      found('var-cache-x', '/var/cache/x'),
      found('srv-store', '/srv/store'),
      'immutafs-scratch.service.d/immutafs.conf: [Unit];After=var.mount;After=var-cache.mount;After=srv.mount;Before=var-cache-x.mount;Before=srv-store.mount',
      `immutafs-scratch-device.service.d/immutafs.conf: [Unit];Wants=${scratchDevice};After=${scratchDevice}`,
      `${scratchDevice}.d/immutafs.conf: [Unit];JobTimeoutSec=30`,
      'multi-user.target.d/immutafs.conf: [Unit];Wants=immutafs-scratch-trim.service',
      ...['poweroff', 'reboot', 'halt', 'kexec'].map(
        (target) => `${target}.target.d/immutafs.conf: [Unit];Wants=${discard}`,
      ),
      foundMount(disk, '/run/immutafs/scratch-disk', 'DefaultDependencies=no;RefuseManualStop=yes'),
      `${ofScratch};After=${disk}.mount`,
    ]);
  });
  test('without a device, the paths are in memory, and nothing is waited for', () => {
    same(units('sealed', '/srv/store', ''), [
      found('srv-store', '/srv/store'),
      'immutafs-scratch.service.d/immutafs.conf: [Unit];After=srv.mount;Before=srv-store.mount',
      ofScratch,
    ]);
  });
  for (const mode of ['maintenance', 'off'])
    test(`${mode}: nothing`, () => same(units(mode, '/srv/store'), []));
  test.run();
}

{
  const test = suite('generator: a boot that moves data');
  const marker = { 'etc/immutafs/move-at-boot': '0\n' };
  const config = 'PERSIST=/srv/www\nPERSIST_STORE=/data/store\n';
  const writable = { mode: 'maintenance', record: 'DISKS=vda:0:none\n', config };

  test('starts its target alone, with what mounting needs, and mounts nothing of PERSIST', () => {
    const there = ['systemd-udevd.service', 'cryptsetup.target', 'systemd-ask-password-console.path'];
    const files = there.map((unit) => [`usr/lib/systemd/system/${unit}`, 'x'] as const);
    const found = generate({ ...writable, files: { ...marker, ...Object.fromEntries(files) } });
    const [wanted = ''] = found.filter((line) => line.startsWith('immutafs-move.target.d/'));
    assert.ok(
      there.every((unit) => wanted.includes(`;Wants=${unit}`)),
      wanted,
    );
    assert.not.match(wanted, 'multipathd');
    same(
      found.filter((line) => line !== wanted),
      [
        'default.target -> /usr/lib/systemd/system/immutafs-move.target',
        'emergency.service.d/immutafs.conf: [Service];ExecStartPre=-/usr/libexec/immutafs/immutafs-boot move-abandon',
        'immutafs-move-end.service.d/immutafs.conf: [Unit];Requires=local-fs.target',
        String.raw`immutafs-move.service.d/immutafs.conf: [Unit];After=data.mount;After=data-store.mount;[Unit];Requires=local-fs.target`,
      ],
    );
  });
  for (const unit of ['emergency.service', 'emergency.target'])
    test(`${unit} is masked: the end of the boot does not depend on it`, () => {
      const files = { ...marker, [`etc/systemd/system/${unit}`]: '' };
      assert.not.match(generate({ ...writable, files }).join('\n'), /emergency\.service\.d|local-fs\.target/);
    });
  test('waits for the store and for what fstab mounts nofail, for which local-fs.target does not wait', () => {
    const line = (target: string, options: string) => `/dev/vdb ${target} xfs ${options} 0 0\n`;
    const fstab = [
      line('/data', 'nosuid,nodev,noexec,nofail'),
      line('/srv/large', 'nofail'),
      line('/other', 'defaults'),
    ];
    const found = generate({ ...writable, files: marker, fstab: fstab.join('') });
    same(
      found.filter((each) => each.startsWith('immutafs-move.service.d/')),
      [
        'immutafs-move.service.d/immutafs.conf: [Unit];Wants=data.mount;After=data.mount;After=data-store.mount;After=srv-large.mount;[Unit];Requires=local-fs.target',
      ],
    );
  });
  test('an automount of the store: its file system is mounted', () => {
    const files = { ...marker, 'etc/systemd/system/data.mount': 'x' };
    assert.match(generate({ ...writable, files }).join('\n'), '[Unit];Wants=data.mount;After=data.mount;');
  });
  for (const [title, boot] of [
    ['without the marker', writable],
    ['a sealed boot', { ...writable, mode: 'sealed', files: marker }],
    ['off', { ...writable, mode: 'off', files: marker }],
    ['a read-only disk', { ...writable, record: 'DISKS=vda:1:none\n', files: marker }],
    [
      'a rehearsal',
      { ...writable, mode: 'sealed', record: 'DISKS=vda:0:none\nREHEARSAL=900\n', files: marker },
    ],
  ] as const)
    test(`${title}: an ordinary boot`, () => {
      const found = generate(boot);
      assert.not.match(found.join('\n'), /default\.target|move/);
    });
  test('the boot could not be counted: an ordinary boot, which mounts what has been moved', () => {
    const files = { ...marker, 'run/immutafs/move-refused': '' };
    same(generate({ ...writable, files }), generate(writable));
  });
  test('the kernel arguments name a target: an ordinary boot, which mounts what has been moved', () => {
    const files = { ...marker, 'proc/cmdline': 'ro systemd.unit=multi-user.target quiet\n' };
    const found = generate({ ...writable, files });
    assert.not.match(found.join('\n'), /default\.target|move/);
    same(found, generate(writable));
    assert.match(found.join('\n'), /^srv-www\.mount: /m);
  });
  test.run();
}
