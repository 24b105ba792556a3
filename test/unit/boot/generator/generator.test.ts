import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  device,
  generate,
  kept,
  mount,
  overlayAtVar,
  runVar,
  same,
  service,
} from '../../../harness/generator.ts';

const test = suite('generator');

test('a separate /var and file systems below it', () => {
  const lines = [
    '# comment',
    'UUID=1 / xfs ro 0 0',
    'UUID=a-b /var xfs defaults 0 0',
    '/dev/vdb1 /var/lib/images ext4 noatime,noauto 0 0',
    'server:/x /var/nfs nfs defaults 0 0',
    'tmpfs /var/tmp tmpfs defaults 0 0',
    'LABEL=x /variable ext4 defaults 0 0',
    'LABEL=y /data vfat defaults 0 0',
    'LABEL=z none swap sw 0 0',
    // The last line has no newline.
    '/dev/mapper/rhel-log /var/log xfs defaults 0 0',
  ];
  const found = generate({ fstab: lines.join('\n'), mounts: {} });
  same(found, [
    service('variable', device('dev-disk-by\\x2dlabel-x.device'), 'mount'),
    service('var-log', `;RequiresMountsFor=/var${device('dev-mapper-rhel\\x2dlog.device')}`),
    service('var', device('dev-disk-by\\x2duuid-a\\x2db.device')),
    ...[...runVar, mount('var-log'), mount('var'), mount('variable', 'mount')],
  ]);
});

const forwarder = 'immutafs-forward.service.d/immutafs.conf: ';
const labelled = '[Unit];Wants=immutafs-forward-state.service;After=immutafs-forward-state.service;';
const writable = (folder: string) => `[Service];ReadWriteDirectories=-${folder}`;
const protectedHome = '[Service];ProtectHome=read-only';
const noKeys = '[Service];InaccessibleDirectories=;InaccessibleDirectories=-/tmp -/var/tmp';
const conditions =
  '[Unit];ConditionPathExists=|/run/immutafs/report.json;ConditionDirectoryNotEmpty=|/run/systemd/sessions';
for (const [config, dropin] of [
  // The forwarder may write to FORWARD_STATE. systemd-tmpfiles and the policy label a folder in /run.
  ['FORWARD_STATE=/srv/state/a-1', labelled + writable('/srv/state/a-1')],
  ['#FORWARD_STATE=/srv/state', null],
  ['FORWARD_STATE=/run/state', writable('/run/state')],
  ['FORWARD_STATE=/state', labelled + writable('/state')],
  ...['/', '/srv/../etc', '/srv/my state', '/srv/%h', 'srv/state'].map(
    (folder) => [`FORWARD_STATE=${folder}`, null] as const,
  ),
  // The boot starts the forwarder if FORWARD names a server, or to report a mistake.
  ['FORWARD=', conditions],
  ['FORWARD=relp://log', null],
  ['FORWARD=\nFORWRAD=relp://log', null],
  // The forwarder sees the directory of a file.
  ['FORWARD_STATE=/home/state', `${labelled}${protectedHome};ReadWriteDirectories=-/home/state`],
  ['FORWARD_FILES=/var/log/a/*.log /root/x.log', protectedHome],
  ['FORWARD_FILES=/h*/*/x.log', protectedHome],
  ['FORWARD_FILES=/srv/link/*.log', protectedHome],
  ['FORWARD_FILES=/homes/x.log /srv/h*/x.log', null],
  ['FORWARD_CA=/etc/pki/tls/certs/ca.pem', null],
  ['FORWARD_KEY=/etc/pki/tls/private/a b.pem', noKeys],
  ['FORWARD_KEY=/etc/immutafs/tls/link.key', noKeys],
  ['FORWARD_KEY=/etc/immutafs/tls/own.key', null],
] as const) {
  test(`the forwarder: ${config}`, () => {
    const files = {
      'home/logs/x.log': '',
      'srv/link': { linkTo: '../home/logs' },
      'etc/ssl/private/guest.key': '',
      'etc/immutafs/tls/link.key': { linkTo: '../../ssl/private/guest.key' },
      'etc/immutafs/tls/own.key': '',
    };
    const found = generate({ mode: 'maintenance', config: `${config}\n`, files });
    same(found, dropin === null ? [] : [forwarder + dropin]);
  });
}

test('a file system that the initramfs mounted gets no drop-in', () => {
  const found = generate({
    fstab: 'UUID=1 /boot ext4 ro 0 0\nUUID=2 /boot2 ext4 ro 0 0\n',
    mounts: { '/var': 'tmpfs', '/boot': 'tmpfs' },
  });
  same(found, [
    ...[mount('boot2', 'mount'), ...runVar],
    service('boot2', device('dev-disk-by\\x2duuid-2.device'), 'mount'),
  ]);
});

const ownVar = [
  service('var', ''),
  ...kept(['/run/var'], 'Wants=var.mount;Wants=immutafs-var@var.service;'),
  'var.mount: [Unit];Before=local-fs.target;[Mount];What=/var;Where=/var;Type=none;Options=bind',
  mount('var'),
];
const otherVar = [service('var', ''), ...runVar, mount('var')];
const ofDevice = [service('var', device('dev-vdb1.device')), ...runVar, mount('var')];
const unit = 'etc/systemd/system/var.mount';
for (const [title, files, expected] of [
  ["without the hook: a unit for the root's own /var", {}, ownVar],
  ['likewise if the unit of the administrator is masked', { [unit]: { linkTo: '/dev/null' } }, ownVar],
  ['a unit of the administrator: the service runs, and will report it', { [unit]: '[Mount]\n' }, otherVar],
  ['a /var over the network: likewise', { 'etc/fstab': 'server:/x /var nfs defaults 0 0\n' }, otherVar],
  ['noauto does not keep systemd from it', { 'etc/fstab': '/dev/vdb1 //var/ xfs noauto 0 0\n' }, ofDevice],
] as const) {
  test(title, () => {
    const cmdline = { 'proc/cmdline': 'immutafs=sealed\n' };
    same(generate({ mode: null, files: { ...cmdline, ...files }, mounts: {} }), expected);
  });
}

test('quotes, escapes and spaces in the fields of fstab', () => {
  const found = generate({
    fstab:
      'LABEL="varfs" /var/a xfs x 0 0\nLABEL=my\\040logs /var/b xfs x 0 0\n/dev/vdb1 /var/my\\040logs xfs x 0 0\n',
  });
  const names = { 'var-a': 'dev-disk-by\\x2dlabel-varfs', 'var-b': 'dev-disk-by\\x2dlabel-my\\x5cx20logs' };
  same(found, [
    ...Object.entries({ ...names, 'var-my\\x20logs': 'dev-vdb1' }).flatMap(([name, node]) => [
      service(name, `;RequiresMountsFor=/var${device(`${node}.device`)}`),
      mount(name),
    ]),
    ...runVar,
  ]);
});

test('a file system that gets an overlay is mounted at boot, and its automount does nothing', () => {
  const lines = [
    '/dev/vdx1 /var/a xfs ro,x-systemd.automount 0 0',
    '/dev/vdx2 /var/b xfs noauto,x-systemd.automount,nofail 0 0',
    '/dev/vdx3 /var/c xfs comment=systemd.automount,ro 0 0',
    '/dev/vdx4 /var/d xfs noauto 0 0',
    '/dev/vdx5 /data xfs x-systemd.automount 0 0\n',
  ];
  const ofVar = (name: string, node: string) => [
    service(name, `;RequiresMountsFor=/var${device(node)}`),
    mount(name),
    `${name}.automount.d/immutafs.conf: [Unit];ConditionPathExists=!/`,
  ];
  same(generate({ fstab: lines.join('\n') }), [
    ...ofVar('var-a', 'dev-vdx1.device'),
    ...ofVar('var-b', 'dev-vdx2.device'),
    ...ofVar('var-c', 'dev-vdx3.device'),
    service('data', device('dev-vdx5.device'), 'mount'),
    mount('data', 'mount'),
    ...runVar.slice(0, 1),
    'local-fs.target.d/immutafs.conf: [Unit];Wants=var-a.mount;Wants=var-b.mount;Wants=var-c.mount;After=run-var.mount;After=var-a.mount;After=var-c.mount',
  ]);
});

for (const [disks, on, expected] of [
  ['vda:1:virtio-feature', 'vdb', false],
  ['vda:1:virtio-feature', 'vda', true],
  ['vdb:0:none', 'vdb', true],
] as const) {
  test(`root on ${disks}: an automount on ${on} ${expected ? 'gets an overlay' : 'stays an automount'}`, () => {
    const found = generate({
      record: `DISKS=${disks}\n`,
      fstab: `/dev/${on} /var/log xfs x-systemd.automount 0 0\n`,
      files: { [`dev/${on}`]: '' },
      devices: [
        { name: 'vda', device: '252:0', bus: 'virtio-blk', offered: true },
        { name: 'vdb', device: '252:16', bus: 'virtio-blk' },
      ],
    });
    const idle = found.filter((line) => line.startsWith('var-log.automount'));
    const wanted = found.some((line) => line.includes('Wants=var-log.mount'));
    assert.equal([idle.length, wanted], expected ? [1, true] : [0, false]);
  });
}

test('a sealed boot: a file system of any type is mounted from its sealed source', () => {
  const files = {
    'dev/vdb': '',
    'dev/block/immutafs/by-uuid/sealed': { linkTo: '../../../vdb' },
    'dev/block/immutafs/by-label/a%b': { linkTo: '../../../vdb' },
  };
  const devices = [{ name: 'vdb', device: '252:16', bus: 'virtio-blk', offered: true }] as const;
  const mounts = { ...overlayAtVar, '/srv/there': 'tmpfs' };
  const lines = [
    'UUID=sealed / xfs ro 0 0',
    'UUID=sealed /opt btrfs ro 0 0',
    'UUID=sealed /boot ext4 ro 0 0',
    '/dev/disk/by-label/a%b /boot/efi vfat ro,noauto 0 0',
    'UUID=sealed /srv/there xfs ro 0 0',
    'UUID=writable /home xfs defaults 0 0',
    'UUID=sealed none swap sw 0 0',
  ];
  const found = generate({ fstab: lines.join('\n'), files, devices, mounts });
  // systemd makes no device unit for a link below /dev/block.
  const sealed = '/dev/vdb';
  same(
    found.filter((line) => !/^(run-|var\.|local-fs|.*home)/.test(line)),
    [
      'dev-disk-by\\x2duuid-sealed.swap -> /dev/null',
      `boot-efi.mount.d/immutafs.conf: [Mount];What=${sealed}`,
      `boot.mount.d/immutafs.conf: [Mount];What=${sealed};${mount('boot', 'mount').replace(/^.*?: /, '')}`,
      service('boot', device('dev-vdb.device'), 'mount'),
      `opt.mount.d/immutafs.conf: [Mount];What=${sealed}`,
    ],
  );
});

for (const mode of ['maintenance', 'off']) {
  test(`no files in mode ${mode}`, () =>
    same(generate({ mode, fstab: '/dev/vdb1 /var xfs x 0 0\n', mounts: {} }), []));
}

for (const [disks, line] of [
  ['vda:0:none', 'ExecStartPost=/bin/mount -o remount,rw /'],
  ['vda:1:flag', undefined],
] as const) {
  test(`maintenance with ${disks}: \`ro\` file systems ${line ? 'become writable' : 'stay read-only'}`, () => {
    const lines = [
      'UUID=1 / xfs defaults,ro 0 0',
      'UUID=2 /boot ext4 nosuid,ro,nodev 0 0',
      'UUID=3 /home xfs defaults 0 0',
      '/dev/sr0 /media iso9660 ro 0 0\n',
    ];
    const expected = [
      'boot.mount.d/immutafs.conf: [Mount];Options=nosuid,rw,nodev',
      `systemd-remount-fs.service.d/immutafs.conf: [Service];${line ?? ''}`,
    ];
    const found = generate({ mode: 'maintenance', record: `DISKS=${disks}\n`, fstab: lines.join('\n') });
    same(found, line === undefined ? [] : expected);
  });
}

for (const [title, boot] of [
  ['/.autorelabel', { files: { '.autorelabel': '' } }],
  ['the kernel argument', { files: { 'proc/cmdline': 'ro autorelabel=1\n' } }],
] as const) {
  test(`${title}: a sealed boot skips relabelling and continues, maintenance relabels`, () => {
    const nothing = '[Service];ExecStart=;ExecStart=/bin/true;StandardInput=null';
    same(generate(boot), [
      ...runVar,
      ...['rhel', 'selinux'].map((name) => `${name}-autorelabel.service.d/immutafs.conf: ${nothing}`),
      'selinux-autorelabel.target.d/immutafs.conf: [Unit];Wants=multi-user.target',
    ]);
    same(generate({ ...boot, mode: 'maintenance' }), []);
  });
}

test('the mounts of the initramfs stay through a soft reboot', () => {
  same(generate({ mounts: overlayAtVar }), kept(['/run/var', '/var', '/run/immutafs/lower']));
  same(generate(), runVar);
  same(generate({ fstab: '/dev/vdb1 /var xfs ro 0 0\n', mounts: overlayAtVar }), ofDevice);
});

test('in a sealed boot, a stop of blk-availability.service does not unmount the lower layers', () => {
  const files = { 'usr/lib/systemd/system/blk-availability.service': '[Service]\nExecStart=/bin/true\n' };
  const stop = 'ExecStop=/usr/sbin/blkdeactivate -l wholevg -m disablequeueing';
  same(generate({ files }), [
    ...runVar,
    `blk-availability.service.d/immutafs.conf: [Service];ExecStop=;${stop}`,
  ]);
  same(generate({ mode: 'maintenance', files }), []);
});

test('the bound configuration of LVM stays mounted at shutdown', () => {
  const files = { 'etc/lvm/lvmlocal.conf': '' };
  const mounts = { '/var': 'tmpfs', '/etc/lvm/lvmlocal.conf': 'tmpfs' };
  same(generate({ files, mounts }), kept(['/run/var', '/etc/lvm/lvmlocal.conf']));
  same(generate({ files }), runVar);
});

test('names of units are as systemd-escape(1) makes them', () => {
  const targets = [
    ...['/a-b/c_d', '/a.b/.c', '/x:y', '/--', '/\xc3\xa4/b', '/a/b-', '/A9/-b/c-d-e', '/q\\040r', '/_'],
    ...['/a+b@c', '/.hidden/d'],
  ];
  const found = generate({
    fstab: targets.map((target) => `/dev/vdb1 ${target} ext4 defaults 0 0\n`).join(''),
  });
  const expected = targets.map((target) => {
    const name = Buffer.from(target.replace('\\040', ' '), 'latin1').toString('utf8');
    return execFileSync('systemd-escape', ['--path', name], { encoding: 'utf8' }).trimEnd();
  });
  const got = found
    .filter((line) => !runVar.includes(line))
    .flatMap((line) => /^(.*)\.mount\.d\//.exec(line)?.[1] ?? []);
  assert.equal(got.sort(), expected.sort());
});
test.run();
