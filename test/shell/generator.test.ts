import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generate } from './generate.ts';
import { shells } from './shells.ts';

const bootEnv = (mode: string) => `MODE=${mode}\nREASON=x\nDISKS=\nVAR=overlay\n`;

const mount = (name: string, kind = 'var') =>
  `${name}.mount.d/immutafs.conf: [Unit];Wants=immutafs-${kind}@${name}.service;After=immutafs-${kind}@${name}.service`;
const service = (name: string, more: string, kind = 'var') =>
  `immutafs-${kind}@${name}.service.d/immutafs.conf: [Unit];Before=${name}.mount${more}`;
const device = (unit: string) => `;Wants=${unit};After=${unit}`;
/** Units of mounts that stay through a soft reboot, and at shutdown to systemd-shutdown(8); what is mounted there now. */
const kept = (mounts: Record<string, string>, localFs = '') => {
  const names = Object.keys(mounts).map((target) => `${target.slice(1).replaceAll('/', '-')}.mount`);
  return [
    ...Object.entries(mounts).map(
      ([target, options], index) =>
        `${names[index]}: [Unit];DefaultDependencies=no;[Mount];What=${target};Where=${target};Type=none;Options=bind${options}`,
    ),
    `local-fs.target.d/immutafs.conf: [Unit];${localFs}After=${names.join(' ')}`,
  ];
};
const runVar = kept({ '/run/var': '' });
const somethingThere = 'mkdir -p /var; mount -t tmpfs x /var';
const overlayThere = `mkdir -p /var /layers; mount -t tmpfs x /layers; mkdir /layers/lower /layers/upper /layers/work
  mount -t overlay -o lowerdir=/layers/lower,upperdir=/layers/upper,workdir=/layers/work x /var`;

function same(written: readonly string[], expected: readonly string[]): void {
  assert.equal(written, expected.toSorted());
}

for (const [name, shell] of Object.entries(shells)) {
  const generator = suite(`${name}: generator`);

  generator('a /var and folders below it with file systems of their own', () => {
    const { code, written } = generate(shell, {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': [
        '# comment',
        'UUID=1 / xfs ro 0 0',
        'UUID=a-b /var xfs defaults 0 0',
        '/dev/mapper/rhel-log /var/log xfs defaults 0 0',
        '/dev/vdb1 /var/lib/images ext4 noatime,noauto 0 0',
        'server:/x /var/nfs nfs defaults 0 0',
        'tmpfs /var/tmp tmpfs defaults 0 0',
        'LABEL=x /variable ext4 defaults 0 0',
        'LABEL=y /data vfat defaults 0 0',
        'LABEL=z none swap sw 0 0',
        '',
      ].join('\n'),
    });
    assert.is(code, 0);
    same(written, [
      service('variable', device('dev-disk-by\\x2dlabel-x.device'), 'mount'),
      service('var-log', `;RequiresMountsFor=/var${device('dev-mapper-rhel\\x2dlog.device')}`),
      service('var', device('dev-disk-by\\x2duuid-a\\x2db.device')),
      ...runVar,
      mount('var-log'),
      mount('var'),
      mount('variable', 'mount'),
    ]);
  });

  for (const [disks, line] of [
    ['vda:0:none', 'ExecStartPost=/bin/mount -o remount,rw /'],
    ['vda:1:flag', undefined],
  ] as const) {
    generator(`maintenance with ${disks}: what is \`ro\` ${line ? 'becomes writable' : 'stays so'}`, () => {
      const { written } = generate(shell, {
        'run/immutafs/boot.env': `MODE=maintenance\nDISKS=${disks}\n`,
        'etc/fstab': [
          'UUID=1 / xfs defaults,ro 0 0',
          'UUID=2 /boot ext4 nosuid,ro,nodev 0 0',
          'UUID=3 /home xfs defaults 0 0',
          '/dev/sr0 /media iso9660 ro 0 0',
          '',
        ].join('\n'),
      });
      const expected = [
        'boot.mount.d/immutafs.conf: [Mount];Options=nosuid,rw,nodev',
        `systemd-remount-fs.service.d/immutafs.conf: [Service];${line ?? ''}`,
      ];
      assert.equal(written, line === undefined ? [] : expected);
    });
  }

  generator('a last line without its newline', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': 'UUID=1 / xfs ro 0 0\n/dev/vdb1 /var/log xfs defaults 0 0',
    };
    const { written } = generate(shell, files, somethingThere);
    same(written, [
      service('var-log', `;RequiresMountsFor=/var${device('dev-vdb1.device')}`),
      ...runVar,
      mount('var-log'),
    ]);
  });

  generator('names of units are as systemd-escape(1) makes them', () => {
    const targets = [
      '/a-b/c_d',
      '/a.b/.c',
      '/x:y',
      '/--',
      '/\xc3\xa4/b',
      '/a/b-',
      '/A9/-b/c-d-e',
      '/q\\040r',
      '/_',
    ];
    const { written } = generate(
      shell,
      {
        'run/immutafs/boot.env': bootEnv('sealed'),
        'etc/fstab': targets.map((target) => `/dev/vdb1 ${target} ext4 defaults 0 0\n`).join(''),
      },
      somethingThere,
    );
    const expected = targets.map((target) => {
      const name = Buffer.from(target.replace('\\040', ' '), 'latin1').toString('utf8');
      return execFileSync('systemd-escape', ['--path', name], { encoding: 'utf8' }).trimEnd();
    });
    const got = written
      .filter((line) => !runVar.includes(line))
      .flatMap((line) => /^(.*)\.mount\.d\//.exec(line)?.[1] ?? []);
    assert.equal(got.sort(), expected.sort());
  });

  generator('what the initramfs mounted stays through a soft reboot', () => {
    const files = { 'run/immutafs/boot.env': bootEnv('sealed') };
    const { written } = generate(shell, files, overlayThere);
    same(written, kept({ '/run/var': '', '/var': ',relatime', '/run/immutafs/lower': '' }));
    same(generate(shell, files, somethingThere).written, runVar);
    const withLine = { ...files, 'etc/fstab': '/dev/vdb1 /var xfs ro 0 0\n' };
    same(generate(shell, withLine, overlayThere).written, [
      ...runVar,
      service('var', device('dev-vdb1.device')),
      mount('var'),
    ]);
  });

  for (const [title, before, files] of [
    ['/.autorelabel', `${somethingThere}; touch /.autorelabel`, {}],
    ['the kernel argument', somethingThere, { 'proc/cmdline': 'ro autorelabel=1\n' }],
  ] as const) {
    generator(`${title}: a sealed boot sets no labels and goes on, one in maintenance sets them`, () => {
      const nothing = '[Service];ExecStart=;ExecStart=/bin/true;StandardInput=null';
      const written = (mode: string) =>
        generate(shell, { 'run/immutafs/boot.env': bootEnv(mode), ...files }, before).written;
      same(written('sealed'), [
        `rhel-autorelabel.service.d/immutafs.conf: ${nothing}`,
        ...runVar,
        `selinux-autorelabel.service.d/immutafs.conf: ${nothing}`,
        'selinux-autorelabel.target.d/immutafs.conf: [Unit];Wants=multi-user.target',
      ]);
      assert.equal(written('maintenance'), []);
    });
  }

  generator('what the initramfs mounted beside /var needs nothing', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': 'UUID=1 /boot ext4 ro 0 0\nUUID=2 /boot2 ext4 ro 0 0\n',
    };
    const { written } = generate(shell, files, `${somethingThere}; mkdir -p /boot; mount -t tmpfs x /boot`);
    same(written, [
      mount('boot2', 'mount'),
      service('boot2', device('dev-disk-by\\x2duuid-2.device'), 'mount'),
      ...runVar,
    ]);
  });

  generator('what is bound for lvm stays until nothing needs it any more', () => {
    const files = { 'run/immutafs/boot.env': bootEnv('sealed'), 'etc/lvm/lvmlocal.conf': '' };
    const bind = 'mount --bind /etc/lvm/lvmlocal.conf /etc/lvm/lvmlocal.conf';
    const { written } = generate(shell, files, `${somethingThere}; ${bind}`);
    same(written, kept({ '/run/var': '', '/etc/lvm/lvmlocal.conf': ',relatime' }));
    same(generate(shell, files, somethingThere).written, runVar);
  });

  const ownVar = [
    service('var', ''),
    ...kept({ '/run/var': '' }, 'Wants=var.mount immutafs-var@var.service;'),
    'var.mount: [Unit];Before=local-fs.target;[Mount];What=/var;Where=/var;Type=none;Options=bind',
    mount('var'),
  ];
  const otherVar = [service('var', ''), ...runVar, mount('var')];
  const unit = 'etc/systemd/system/var.mount';
  for (const [title, files, expected] of [
    ["without the hook: a unit for the root's own /var", {}, ownVar],
    ['likewise where a unit of the administrator is masked', { [unit]: { linkTo: '/dev/null' } }, ownVar],
    [
      "a unit of the administrator's: the service will say what it thinks of it",
      { [unit]: '[Mount]\n' },
      otherVar,
    ],
    ['a /var over the network: likewise', { 'etc/fstab': 'server:/x /var nfs defaults 0 0\n' }, otherVar],
    [
      'noauto does not keep systemd from mounting /var',
      { 'etc/fstab': '/dev/vdb1 //var/ xfs noauto 0 0\n' },
      [service('var', device('dev-vdb1.device')), ...runVar, mount('var')],
    ],
  ] as const) {
    generator(title, () => {
      const { written } = generate(shell, { 'proc/cmdline': 'immutafs=sealed\n', ...files });
      same(written, expected);
    });
  }

  for (const mode of ['maintenance', 'off']) {
    generator(`nothing in ${mode}`, () => {
      const files = { 'run/immutafs/boot.env': bootEnv(mode), 'etc/fstab': '/dev/vdb1 /var xfs x 0 0\n' };
      assert.equal(generate(shell, files), { code: 0, written: [] });
    });
  }

  generator('quotes and escapes in what names a disk', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': 'LABEL="varfs" /var/a xfs x 0 0\nLABEL=my\\040logs /var/b xfs x 0 0\n',
    };
    const { written } = generate(shell, files, somethingThere);
    same(written, [
      service('var-a', `;RequiresMountsFor=/var${device('dev-disk-by\\x2dlabel-varfs.device')}`),
      service('var-b', `;RequiresMountsFor=/var${device('dev-disk-by\\x2dlabel-my\\x5cx20logs.device')}`),
      ...runVar,
      mount('var-a'),
      mount('var-b'),
    ]);
  });

  generator('what gets a layer is mounted at boot, and its automount does nothing', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': [
        '/dev/vdx1 /var/a xfs ro,x-systemd.automount 0 0',
        '/dev/vdx2 /var/b xfs noauto,x-systemd.automount,nofail 0 0',
        '/dev/vdx3 /var/c xfs comment=systemd.automount,ro 0 0',
        '/dev/vdx4 /var/d xfs noauto 0 0',
        '/dev/vdx5 /data xfs x-systemd.automount 0 0',
        '',
      ].join('\n'),
    };
    const { written } = generate(shell, files, somethingThere);
    const ofVar = (name: string, node: string) => [
      service(name, `;RequiresMountsFor=/var${device(node)}`),
      mount(name),
      `${name}.automount.d/immutafs.conf: [Unit];ConditionPathExists=!/`,
    ];
    same(written, [
      ...ofVar('var-a', 'dev-vdx1.device'),
      ...ofVar('var-b', 'dev-vdx2.device'),
      ...ofVar('var-c', 'dev-vdx3.device'),
      service('data', device('dev-vdx5.device'), 'mount'),
      mount('data', 'mount'),
      ...runVar.slice(0, 1),
      'local-fs.target.d/immutafs.conf: [Unit];Wants=var-a.mount var-b.mount var-c.mount;After=run-var.mount var-a.mount var-c.mount',
    ]);
  });

  for (const [disks, on, expected] of [
    ['vda:1:virtio-feature', 'vdb', false],
    ['vda:1:virtio-feature', 'vda', true],
    ['vdb:0:none', 'vdb', true],
  ] as const) {
    generator(
      `root on ${disks}: an automount on ${on} ${expected ? 'gets a layer' : 'stays an automount'}`,
      () => {
        const { written } = generate(
          shell,
          {
            'run/immutafs/boot.env': bootEnv('sealed').replace('DISKS=', `DISKS=${disks}`),
            'etc/fstab': '/dev/loop7 /var/log xfs x-systemd.automount 0 0\n',
          },
          // A node that is a block device, and in sysfs is our disk.
          `${somethingThere}; ln -s "$(readlink /sys/class/block/${on})" /sys/class/block/loop7`,
          [
            { name: 'vda', device: '252:0', bus: 'virtio-blk', offered: true },
            { name: 'vdb', device: '252:16', bus: 'virtio-blk' },
          ],
        );
        const idle = written.filter((line) => line.startsWith('var-log.automount'));
        const wanted = written.some((line) => line.includes('Wants=var-log.mount'));
        assert.equal([idle.length, wanted], expected ? [1, true] : [0, false]);
      },
    );
  }

  generator('a space in a path', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': '/dev/vdb1 /var/my\\040logs xfs x 0 0\n',
    };
    const { written } = generate(shell, files, somethingThere);
    const escaped = 'var-my\\x20logs';
    same(written, [
      service(escaped, `;RequiresMountsFor=/var${device('dev-vdb1.device')}`),
      ...runVar,
      mount(escaped),
    ]);
  });
  generator('a sealed boot: what has a sealed source is mounted from there, of whatever type', () => {
    const before = `${overlayThere}
      mkdir -p /sys/devices/vdb/device /sys/class/block
      echo DEVNAME=vdb >/sys/devices/vdb/uevent; echo 1 >/sys/devices/vdb/ro; echo 000001 >/sys/devices/vdb/device/features
      ln -s ../../devices/vdb /sys/class/block/loop7
      mkdir -p /dev/immutafs /srv/there; mount -t tmpfs x /dev/immutafs; mount -t tmpfs x /srv/there
      mkdir /dev/immutafs/by-uuid /dev/immutafs/by-label
      ln -s /dev/loop7 /dev/immutafs/by-uuid/sealed; ln -s /dev/loop7 /dev/immutafs/by-label/a%b`;
    const { code, written } = generate(
      shell,
      {
        'run/immutafs/boot.env': bootEnv('sealed'),
        'etc/fstab': [
          'UUID=sealed / xfs ro 0 0',
          'UUID=sealed /opt btrfs ro 0 0',
          'UUID=sealed /boot ext4 ro 0 0',
          '/dev/disk/by-label/a%b /boot/efi vfat ro,noauto 0 0',
          'UUID=sealed /srv/there xfs ro 0 0',
          'UUID=writable /home xfs defaults 0 0',
          'UUID=sealed none swap sw 0 0',
        ].join('\n'),
      },
      before,
    );
    assert.is(code, 0);
    const sealed = '/dev/immutafs/by-uuid/sealed';
    const unit = device('dev-immutafs-by\\x2duuid-sealed.device');
    same(
      written.filter((line) => !/^(run-|var\.|local-fs|.*home)/.test(line)),
      [
        'dev-disk-by\\x2duuid-sealed.swap -> /dev/null',
        `boot-efi.mount.d/immutafs.conf: [Mount];What=/dev/immutafs/by-label/a%%b`,
        `boot.mount.d/immutafs.conf: [Mount];What=${sealed};${mount('boot', 'mount').replace(/^.*?: /, '')}`,
        service('boot', unit, 'mount'),
        `opt.mount.d/immutafs.conf: [Mount];What=${sealed}`,
      ],
    );
  });

  generator.run();
}
