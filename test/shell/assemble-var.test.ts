import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseBootEnv } from '../../agent/facts/boot/boot-env.ts';
import { assembled, boot, config, env, machineMounts, overlay, small } from './assemble-var.ts';
import { shells } from './shells.ts';

const mountsBefore = machineMounts();

for (const [name, shell] of Object.entries(shells)) {
  const sealed = suite(`${name}: sealed`);

  sealed('the layers, boot.env and the message on the console', () => {
    const booted = boot({
      shell,
      files: config(small),
      after: `
        echo new >/sysroot/var/lib/x && cat /sysroot/var/lib/x /run/immutafs/lower/lib/x /run/var/upper/lib/x
        touch /run/immutafs/lower/y || echo failed
        stat -c '%a %u:%g' /run/var /run/var/upper /run/var/work /sysroot/var
        cat /run/immutafs/boot.env`,
    });
    assert.equal(booted.made, assembled);
    assert.equal(booted.bootEnv, env({}));
    assert.is(booted.code, 0);
    assert.is(booted.stderr, 'immutafs: sealed: disk vda is read-only (virtio-feature); /var\n');
    assert.match(
      booted.after,
      /^new\ndisk\nnew\n.*Read-only file system\nfailed\n700 0:0\n755 0:0\n755 0:0\n755 0:0\n/,
    );
    const parsed = parseBootEnv(booted.after.slice(booted.after.indexOf('VERSION=')));
    assert.is(parsed.var, 'overlay');
    assert.ok(parsed.uptime > 0);
  });

  sealed('the overlay has the mode and owner of the /var on the disk', () => {
    const { made, after } = boot({
      shell,
      files: config(small),
      before: 'chmod 1775 /sysroot/var; chown 12:34 /sysroot/var',
      after: `stat -c '%a %u:%g' /sysroot/var /run/var/upper`,
    });
    assert.is(made.length, 3);
    assert.is(after, '1775 12:34\n1775 12:34\n');
  });

  for (const [text, expected] of [
    ['VAR_OPTIONS=\n', overlay('rw')],
    ['VAR_OPTIONS=nosuid,nodev,noexec\n', overlay('rw,nosuid,nodev,noexec')],
  ] as const) {
    sealed(text.trim(), () => assert.is(boot({ shell, files: config(text) }).made[2], expected));
  }

  sealed('the upper layer has a limit without a configuration', () => {
    const { made } = boot({ shell });
    assert.match(made[1] ?? '', /^\/run\/var tmpfs \S+ size=\d+k,nr_inodes=204800,mode=700$/);
  });

  sealed('the limit of inodes is enforced', () => {
    const { after } = boot({
      shell,
      files: config('VAR_SIZE=8m\nVAR_INODES=1000\n'),
      after: 'i=0; while [ $i -lt 1100 ] && : >/sysroot/var/$i; do i=$((i + 1)); done; echo; echo $i',
    });
    const created = Number(after.trim().split('\n').at(-1));
    assert.ok(created > 900 && created < 1000, String(created));
  });

  sealed('the device of the file system of the initramfs is recorded', () => {
    const { after } = boot({
      shell,
      after: 'sed -n s/^INITRAMFS=//p /run/immutafs/boot.env; mountpoint -d /',
    });
    const [recorded, device] = after.trim().split('\n');
    assert.is(recorded, device);
  });

  sealed('warnings are recorded in boot.env', () => {
    const { bootEnv, stderr } = boot({
      shell,
      files: { ...config('MODE=seal\nNONE=1\n'), 'proc/cmdline': 'immutafs=on\n' },
    });
    const warnings = [
      '/etc/immutafs/immutafs.conf:1: MODE: must be auto, sealed or off, using auto',
      '/etc/immutafs/immutafs.conf:2: NONE: unknown key, ignoring it',
      'kernel argument immutafs=on: must be auto, sealed or off, ignoring it',
    ];
    assert.equal(bootEnv, [...env({}), ...warnings.map((warning) => `WARNING=${warning}`)]);
    assert.is(stderr.split('\n').filter((line) => line.startsWith('immutafs: warning: ')).length, 3);
  });

  sealed(
    'with shared mounts, as systemd makes them, the overlay does not propagate to its own lower layer',
    () => {
      const { made, after } = boot({
        shell,
        files: config(small),
        before: 'mount --make-rshared /sysroot; mount --make-rshared /',
        after: 'echo new >/sysroot/var/lib/x; cat /run/immutafs/lower/lib/x',
      });
      assert.equal(made, assembled);
      assert.is(after, 'disk\n');
    },
  );

  sealed('a second run changes nothing', () => {
    const command = 'sh /usr/libexec/immutafs/assemble-var initramfs /sysroot';
    const { made, bootEnv, code } = boot({
      shell,
      files: config(small),
      script: `${command} && ${command}/`,
    });
    assert.equal(made, assembled);
    assert.equal(bootEnv, env({}));
    assert.is(code, 0);
  });
  sealed.run();

  const modes = suite(`${name}: modes`);
  for (const [title, { disk = 'sealed', conf = '', cmdline = 'ro\n', ...expected }] of Object.entries<{
    disk?: 'sealed' | 'writable' | 'none' | 'unknown';
    conf?: string;
    cmdline?: string;
    MODE: string;
    REASON: string;
    DISKS: string;
    VAR: string;
  }>({
    'a writable disk': {
      disk: 'writable',
      MODE: 'maintenance',
      REASON: 'disk vda is writable',
      DISKS: 'vda:0:none',
      VAR: 'disk',
    },
    'a writable disk, MODE=sealed': {
      disk: 'writable',
      conf: 'MODE=sealed\n',
      MODE: 'sealed',
      REASON: 'MODE=sealed',
      DISKS: 'vda:0:none',
      VAR: 'overlay',
    },
    'a sealed disk, MODE=off': {
      conf: 'MODE=off\n',
      MODE: 'off',
      REASON: 'MODE=off',
      DISKS: 'vda:1:virtio-feature',
      VAR: 'disk',
    },
    'the kernel argument overrides MODE': {
      conf: 'MODE=sealed\n',
      cmdline: 'ro immutafs=off\n',
      MODE: 'off',
      REASON: 'kernel argument immutafs=off',
      DISKS: 'vda:1:virtio-feature',
      VAR: 'disk',
    },
    'the kernel argument auto: the disk decides': {
      conf: 'MODE=off\n',
      cmdline: 'immutafs=auto',
      MODE: 'sealed',
      REASON: 'disk vda is read-only (virtio-feature)',
      DISKS: 'vda:1:virtio-feature',
      VAR: 'overlay',
    },
    'no disk': {
      disk: 'none',
      MODE: 'maintenance',
      REASON: 'no disk under / is known (device 0:N, tmpfs)',
      DISKS: '',
      VAR: 'disk',
    },
    'a device that is not in sysfs': {
      disk: 'unknown',
      MODE: 'maintenance',
      REASON: 'no disk under / is known (device 7:N, ext4)',
      DISKS: '',
      VAR: 'disk',
    },
  })) {
    modes(title, () => {
      const booted = boot({ shell, disk, files: { ...config(conf), 'proc/cmdline': cmdline } });
      const numbered = booted.bootEnv.map((line) => line.replace(/(device \d+):\d+/, '$1:N'));
      assert.equal(numbered, env(expected));
      assert.is(booted.made.length, expected.VAR === 'overlay' ? 3 : 0);
      assert.is(booted.code, 0);
    });
  }
  modes.run();
}

const leaks = suite('no mount remains on this machine');
leaks('mounts', () => assert.equal(machineMounts(), mountsBefore));
leaks.run();
