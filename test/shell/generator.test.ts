import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  bootEnv,
  device,
  generate,
  kept,
  mount,
  overlayAtVar,
  runVar,
  same,
  service,
  tmpfsAtVar,
} from './generator.ts';
import { shells } from './shells.ts';

const noKeys = ['InaccessibleDirectories=', 'InaccessibleDirectories=-/tmp -/var/tmp'] as const;

for (const [name, shell] of Object.entries(shells)) {
  const generator = suite(`${name}: generator`);

  generator('a separate /var and file systems below it', () => {
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

  const labelled = '[Unit];Wants=immutafs-forward-state.service;After=immutafs-forward-state.service';
  for (const [state, drops] of [
    [
      'FORWARD_STATE=/srv/state/a-1',
      [
        `immutafs-forward.service.d/immutafs.conf: ${labelled};[Service];ReadWriteDirectories=-/srv/state/a-1`,
      ],
    ],
    ['#FORWARD_STATE=/srv/state', []],
    // systemd-tmpfiles and the policy label a folder in /run.
    [
      'FORWARD_STATE=/run/state',
      ['immutafs-forward.service.d/immutafs.conf: [Service];ReadWriteDirectories=-/run/state'],
    ],
    [
      'FORWARD_STATE=/state',
      [`immutafs-forward.service.d/immutafs.conf: ${labelled};[Service];ReadWriteDirectories=-/state`],
    ],
    ['FORWARD_STATE=/', []],
    ['FORWARD_STATE=/srv/../etc', []],
    ['FORWARD_STATE=/srv/my state', []],
    ['FORWARD_STATE=/srv/%h', []],
    ['FORWARD_STATE=srv/state', []],
  ] as const) {
    generator(
      `${state}: the forwarder may write to ${drops.length === 0 ? 'no further folder' : 'it'}`,
      () => {
        const { code, written } = generate(shell, {
          'run/immutafs/boot.env': bootEnv('maintenance'),
          'etc/immutafs/immutafs.conf': `${state}\n`,
        });
        assert.is(code, 0);
        same(written, [...drops]);
      },
    );
  }

  for (const [title, config, isStarted] of [
    ['FORWARD is empty: the boot does not start the forwarder', 'FORWARD=\n', false],
    ['FORWARD names a server: the boot starts the forwarder', 'FORWARD=relp://log\n', true],
    ['a mistake: the boot starts the forwarder, which reports it', 'FORWARD=\nFORWRAD=relp://log\n', true],
  ] as const) {
    generator(title, () => {
      const { written } = generate(shell, {
        'run/immutafs/boot.env': bootEnv('maintenance'),
        'etc/immutafs/immutafs.conf': config,
      });
      const conditions =
        'ConditionPathExists=|/run/immutafs/report.json;ConditionDirectoryNotEmpty=|/run/systemd/sessions';
      same(written, isStarted ? [] : [`immutafs-forward.service.d/immutafs.conf: [Unit];${conditions}`]);
    });
  }

  for (const [line, directives, unit = ''] of [
    ['FORWARD_STATE=/home/state', ['ProtectHome=read-only', 'ReadWriteDirectories=-/home/state'], labelled],
    ['FORWARD_FILES=/var/log/a/*.log /root/x.log', ['ProtectHome=read-only']],
    ['FORWARD_FILES=/h*/*/x.log', ['ProtectHome=read-only']],
    ['FORWARD_FILES=/srv/link/*.log', ['ProtectHome=read-only']],
    ['FORWARD_FILES=/homes/x.log /srv/h*/x.log', []],
    ['FORWARD_CA=/etc/pki/tls/certs/ca.pem', []],
    ['FORWARD_KEY=/etc/pki/tls/private/a b.pem', [...noKeys]],
    ['FORWARD_KEY=/etc/immutafs/tls/link.key', [...noKeys]],
    ['FORWARD_KEY=/etc/immutafs/tls/own.key', []],
  ] as const) {
    generator(`${line}: the forwarder sees the directory of the file`, () => {
      const { code, written } = generate(shell, {
        'run/immutafs/boot.env': bootEnv('maintenance'),
        'etc/immutafs/immutafs.conf': `${line}\n`,
        'home/logs/x.log': '',
        'srv/link': { linkTo: '/home/logs' },
        'etc/ssl/private/guest.key': '',
        'etc/immutafs/tls/link.key': { linkTo: '/etc/ssl/private/guest.key' },
        'etc/immutafs/tls/own.key': '',
      });
      assert.is(code, 0);
      const sections = [...(unit === '' ? [] : [unit]), '[Service]', ...directives].join(';');
      const dropin = `immutafs-forward.service.d/immutafs.conf: ${sections}`;
      same(written, directives.length === 0 ? [] : [dropin]);
    });
  }

  generator('a last line without a newline', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': 'UUID=1 / xfs ro 0 0\n/dev/vdb1 /var/log xfs defaults 0 0',
    };
    const { written } = generate(shell, files, tmpfsAtVar);
    same(written, [
      service('var-log', `;RequiresMountsFor=/var${device('dev-vdb1.device')}`),
      ...runVar,
      mount('var-log'),
    ]);
  });

  generator('a file system that the initramfs mounted gets no drop-in', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': 'UUID=1 /boot ext4 ro 0 0\nUUID=2 /boot2 ext4 ro 0 0\n',
    };
    const { written } = generate(shell, files, `${tmpfsAtVar}; mkdir -p /boot; mount -t tmpfs x /boot`);
    same(written, [
      mount('boot2', 'mount'),
      service('boot2', device('dev-disk-by\\x2duuid-2.device'), 'mount'),
      ...runVar,
    ]);
  });

  const ownVar = [
    service('var', ''),
    ...kept(['/run/var'], 'Wants=var.mount;Wants=immutafs-var@var.service;'),
    'var.mount: [Unit];Before=local-fs.target;[Mount];What=/var;Where=/var;Type=none;Options=bind',
    mount('var'),
  ];

  const otherVar = [service('var', ''), ...runVar, mount('var')];

  const unit = 'etc/systemd/system/var.mount';

  for (const [title, files, expected] of [
    ["without the hook: a unit for the root's own /var", {}, ownVar],
    ['likewise if the unit of the administrator is masked', { [unit]: { linkTo: '/dev/null' } }, ownVar],
    ['a unit of the administrator: the service runs, and will report it', { [unit]: '[Mount]\n' }, otherVar],
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

  generator('quotes and escapes in the source of a mount', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': 'LABEL="varfs" /var/a xfs x 0 0\nLABEL=my\\040logs /var/b xfs x 0 0\n',
    };
    const { written } = generate(shell, files, tmpfsAtVar);
    same(written, [
      service('var-a', `;RequiresMountsFor=/var${device('dev-disk-by\\x2dlabel-varfs.device')}`),
      service('var-b', `;RequiresMountsFor=/var${device('dev-disk-by\\x2dlabel-my\\x5cx20logs.device')}`),
      ...runVar,
      mount('var-a'),
      mount('var-b'),
    ]);
  });

  generator('a space in a path', () => {
    const files = {
      'run/immutafs/boot.env': bootEnv('sealed'),
      'etc/fstab': '/dev/vdb1 /var/my\\040logs xfs x 0 0\n',
    };
    const { written } = generate(shell, files, tmpfsAtVar);
    const escaped = 'var-my\\x20logs';
    same(written, [
      service(escaped, `;RequiresMountsFor=/var${device('dev-vdb1.device')}`),
      ...runVar,
      mount(escaped),
    ]);
  });

  generator('a file system that gets an overlay is mounted at boot, and its automount does nothing', () => {
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
    const { written } = generate(shell, files, tmpfsAtVar);
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
      'local-fs.target.d/immutafs.conf: [Unit];Wants=var-a.mount;Wants=var-b.mount;Wants=var-c.mount;After=run-var.mount;After=var-a.mount;After=var-c.mount',
    ]);
  });

  for (const [disks, on, expected] of [
    ['vda:1:virtio-feature', 'vdb', false],
    ['vda:1:virtio-feature', 'vda', true],
    ['vdb:0:none', 'vdb', true],
  ] as const) {
    generator(
      `root on ${disks}: an automount on ${on} ${expected ? 'gets an overlay' : 'stays an automount'}`,
      () => {
        const { written } = generate(
          shell,
          {
            'run/immutafs/boot.env': bootEnv('sealed').replace('DISKS=', `DISKS=${disks}`),
            'etc/fstab': '/dev/loop7 /var/log xfs x-systemd.automount 0 0\n',
          },
          // loop7 is a block device of this machine, but has the entry of the fixture in sysfs.
          `${tmpfsAtVar}; ln -s "$(readlink /sys/class/block/${on})" /sys/class/block/loop7`,
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

  generator('a sealed boot: a file system of any type is mounted from its sealed source', () => {
    const before = `${overlayAtVar}
      mkdir -p /sys/devices/vdb/device /sys/class/block
      echo DEVNAME=vdb >/sys/devices/vdb/uevent; echo 1 >/sys/devices/vdb/ro; echo 000001 >/sys/devices/vdb/device/features
      ln -s ../../devices/vdb /sys/class/block/loop7
      mkdir -p /dev/block/immutafs /srv/there; mount -t tmpfs x /dev/block/immutafs; mount -t tmpfs x /srv/there
      mkdir /dev/block/immutafs/by-uuid /dev/block/immutafs/by-label
      ln -s /dev/loop7 /dev/block/immutafs/by-uuid/sealed; ln -s /dev/loop7 /dev/block/immutafs/by-label/a%b`;
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
    // systemd makes no device unit for a link below /dev/block.
    const sealed = '/dev/loop7';
    const unit = device('dev-loop7.device');
    same(
      written.filter((line) => !/^(run-|var\.|local-fs|.*home)/.test(line)),
      [
        'dev-disk-by\\x2duuid-sealed.swap -> /dev/null',
        `boot-efi.mount.d/immutafs.conf: [Mount];What=${sealed}`,
        `boot.mount.d/immutafs.conf: [Mount];What=${sealed};${mount('boot', 'mount').replace(/^.*?: /, '')}`,
        service('boot', unit, 'mount'),
        `opt.mount.d/immutafs.conf: [Mount];What=${sealed}`,
      ],
    );
  });
  generator.run();
}
