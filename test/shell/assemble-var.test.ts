import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseBootEnv } from '../../agent/facts/boot/boot-env.ts';
import { version } from '../../agent/lib/version.ts';
import { boot } from './boot.ts';
import { noModules, noOverlay as noOverlayFound } from './late.ts';
import { shells } from './shells.ts';

const tmpfs = (size: string, inodes: string) =>
  `/run/var tmpfs rw,nosuid,nodev,noexec size=${size},nr_inodes=${inodes},mode=700`;
const lower = '/run/immutafs/lower ext4 ro,nosuid,nodev,noexec';
const layers = 'lowerdir=/run/immutafs/lower,upperdir=/run/var/upper,workdir=/run/var/work';
const overlay = (options = 'rw,nosuid,nodev') => `/sysroot/var overlay ${options} ${layers}`;
const config = (text: string) => ({ 'sysroot/etc/immutafs/immutafs.conf': text });
/** For what VAR_SIZE is not about: the size of this machine's memory must not matter. */
const small = 'VAR_SIZE=8m\nVAR_INODES=5000\n';
const assembled = [lower, tmpfs('8192k', '5000'), overlay()];
const nothingLeft = ['./immutafs', './immutafs/boot.env'];

function env(values: Record<string, string>): string[] {
  const initial = {
    VERSION: version,
    STAGE: 'initramfs',
    MODE: 'sealed',
    REASON: 'disk vda is read-only (virtio-feature)',
    DISKS: 'vda:1:virtio-feature',
    VAR: 'overlay',
    ON_FAILURE: 'degraded',
  };
  const all = { ...initial, ...values };
  const assembled: Record<string, string> = all.VAR === 'overlay' ? { ASSEMBLED: 'initramfs' } : {};
  return Object.entries({ ...all, ...assembled }).map(([key, value]) => `${key}=${value}`);
}

/** Others may mount and unmount meanwhile; what is ours has our folder's name, or loop devices. */
const mounts = () =>
  fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / immutafs |immutafs-test-|\/sysroot/.test(line));
const mountsBefore = mounts();

for (const [name, shell] of Object.entries(shells)) {
  const sealed = suite(`${name}: sealed`);

  sealed('the layers, what is left for others, and what is said', () => {
    const booted = boot({
      shell,
      files: config(small),
      after: `
        echo new >/sysroot/var/lib/x && cat /sysroot/var/lib/x /run/immutafs/lower/lib/x /run/var/upper/lib/x
        touch /run/immutafs/lower/y || echo refused
        stat -c '%a %u:%g' /run/var /run/var/upper /run/var/work /sysroot/var
        cat /run/immutafs/boot.env`,
    });
    assert.equal(booted.made, assembled);
    assert.equal(booted.bootEnv, env({}));
    assert.is(booted.code, 0);
    assert.is(booted.said, 'immutafs: sealed: disk vda is read-only (virtio-feature); /var\n');
    assert.match(
      booted.after,
      /^new\ndisk\nnew\n.*Read-only file system\nrefused\n700 0:0\n755 0:0\n755 0:0\n755 0:0\n/,
    );
    const handoff = parseBootEnv(booted.after.slice(booted.after.indexOf('VERSION=')));
    assert.is(handoff.var, 'overlay');
    assert.ok(handoff.uptime > 0);
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

  sealed('the upper layer is capped without a configuration', () => {
    const { made } = boot({ shell });
    assert.match(made[1] ?? '', /^\/run\/var tmpfs \S+ size=\d+k,nr_inodes=204800,mode=700$/);
  });

  sealed('the cap of inodes holds', () => {
    const { after } = boot({
      shell,
      files: config('VAR_SIZE=8m\nVAR_INODES=1000\n'),
      after: 'i=0; while [ $i -lt 1100 ] && : >/sysroot/var/$i; do i=$((i + 1)); done; echo; echo $i',
    });
    const created = Number(after.trim().split('\n').at(-1));
    assert.ok(created > 900 && created < 1000, String(created));
  });

  sealed('warnings are handed over', () => {
    const { bootEnv, said } = boot({
      shell,
      files: { ...config('MODE=seal\nNONE=1\n'), 'proc/cmdline': 'immutafs=on\n' },
    });
    const warnings = [
      '/etc/immutafs/immutafs.conf:1: MODE: must be auto, sealed or off, using auto',
      '/etc/immutafs/immutafs.conf:2: NONE: unknown key, ignoring it',
      'kernel argument immutafs=on: must be auto, sealed or off, ignoring it',
    ];
    assert.equal(bootEnv, [...env({}), ...warnings.map((warning) => `WARNING=${warning}`)]);
    assert.is(said.split('\n').filter((line) => line.startsWith('immutafs: warning: ')).length, 3);
  });

  sealed(
    'where mounts are shared, as systemd makes them, the overlay is not over its own lower layer',
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

  sealed('twice is as good as once', () => {
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
    'the kernel argument wins': {
      conf: 'MODE=sealed\n',
      cmdline: 'ro immutafs=off\n',
      MODE: 'off',
      REASON: 'kernel argument immutafs=off',
      DISKS: 'vda:1:virtio-feature',
      VAR: 'disk',
    },
    'the kernel argument may ask the disk': {
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

  const separate = suite(`${name}: a /var of its own is not hidden`);
  for (const [title, fstab, deferred] of [
    ['by device', '/dev/mapper/rhel-var /var xfs defaults 0 0\n', true],
    ['by UUID, among others', '# x\nUUID=1 / xfs ro 0 0\n\nUUID=2\t/var\txfs\tdefaults 0 0\n', true],
    ['in a last line without its newline', 'UUID=1 / xfs ro 0 0\nUUID=2 /var xfs defaults 0 0', true],
    ['with a slash at the end', 'LABEL=var /var/ ext4 defaults 0 0\n', true],
    ['over the network', 'server:/x /var nfs defaults 0 0\n', true],
    ['with two slashes', '/dev/vdb1 //var xfs defaults 0 0\n', true],
    ['/variable only', '/dev/vdb1 /variable xfs defaults 0 0\n', false],
    ['/var/log only', '/dev/vdb1 /var/log xfs defaults 0 0\n', false],
    ['a comment', '#/dev/vdb1 /var xfs defaults 0 0\n', false],
    ['no fstab', undefined, false],
  ] as const) {
    separate(title, () => {
      const { made, bootEnv } = boot({
        shell,
        files: { ...config(small), ...(fstab === undefined ? {} : { 'sysroot/etc/fstab': fstab }) },
        before: fstab === undefined ? 'rm /sysroot/etc/fstab' : '',
      });
      assert.equal(made, deferred ? [] : assembled);
      assert.equal(bootEnv, env({ VAR: deferred ? 'deferred' : 'overlay' }));
    });
  }

  const unit = 'sysroot/etc/systemd/system/var.mount';
  for (const [title, file, own] of [
    ['a mount unit', '[Mount]\n', false],
    ['a mount unit that is a link', { linkTo: '/usr/lib/systemd/system/other.mount' }, false],
    ['a mount unit that is masked', { linkTo: '/dev/null' }, true],
    ['a mount unit that is masked by being empty', '', true],
  ] as const) {
    separate(title, () => {
      const line = own ? '/dev/mapper/rhel-var /var xfs defaults 0 0\n' : '';
      const { made, bootEnv } = boot({
        shell,
        files: { ...config(small), [unit]: file, 'sysroot/etc/fstab': line },
      });
      assert.equal(made, own ? assembled : []);
      assert.equal(bootEnv, env({ VAR: own ? 'overlay' : 'deferred' }));
    });
  }
  separate.run();

  const failing = suite(`${name}: failures`);
  const sealedAnyway = suite(`${name}: what only looks like a failure`);
  const noOverlay = { 'proc/filesystems': 'nodev\ttmpfs\n\text4\nnodev\toverlayfs\n' };
  for (const [policy, code] of [
    ['degraded', 1],
    ['emergency', 3],
    ['poweroff', 4],
  ] as const) {
    failing(`no overlay in the kernel, ON_FAILURE=${policy}`, () => {
      const booted = boot({
        shell,
        before: noModules,
        files: { ...config(`ON_FAILURE=${policy}\n`), ...noOverlay },
      });
      assert.is(booted.code, code);
      assert.equal(booted.made, []);
      assert.equal(booted.run, nothingLeft);
      assert.equal(booted.bootEnv.slice(0, -1), env({ VAR: 'failed', ON_FAILURE: policy }));
      const error = booted.bootEnv.at(-1) ?? '';
      assert.match(error, noOverlayFound);
      assert.match(booted.said, `/var failed: ${error.replace('ERROR=', '')}\n`);
    });
  }

  failing('ON_FAILURE=poweroff is no reason to power off in maintenance', () => {
    const { code } = boot({
      shell,
      disk: 'writable',
      files: { ...config('ON_FAILURE=poweroff\n'), ...noOverlay },
    });
    assert.is(code, 0);
  });

  for (const [title, lines] of [
    ['no /var on the disk', 'rm -r /sysroot/var'],
    ['/var is a file', 'rm -r /sysroot/var; : >/sysroot/var'],
  ] as const) {
    failing(title, () => {
      const booted = boot({ shell, before: lines });
      assert.is(booted.code, 1);
      assert.equal(booted.made, []);
      assert.equal(booted.run, nothingLeft);
      assert.equal(booted.bootEnv.slice(0, -1), env({ VAR: 'failed' }));
      const error = booted.bootEnv.at(-1) ?? '';
      assert.match(error, /^ERROR=\/sysroot\/var on the disk is no folder that can be read: stat failed: /);
      assert.match(error, /No such file|Not a directory/);
    });
  }

  for (const [title, damage, error] of [
    [
      'its inode',
      'clri /var',
      /^ERROR=\/sysroot\/var on the disk is no folder that can be read: stat failed: /,
    ],
    [
      'its only block',
      'zap_block -f /var 0',
      /^ERROR=\/run\/immutafs\/lower has folders in it, but cannot be read$/,
    ],
  ] as const) {
    failing(`/var on the disk is damaged: ${title}`, () => {
      const booted = boot({ shell, damage: `debugfs -w -R '${damage}' /image 2>/dev/null` });
      assert.is(booted.code, 1);
      assert.equal(booted.made, []);
      assert.equal(booted.run, nothingLeft);
      assert.equal(booted.bootEnv.slice(0, -1), env({ VAR: 'failed' }));
      assert.match(booted.bootEnv.at(-1) ?? '', error);
    });
  }

  for (const [title, before] of [
    ['empty', 'rm -r /sysroot/var/*'],
    ['with nothing but a folder whose name begins with a dot', 'mv /sysroot/var/lib /sysroot/var/.lib'],
    ['with nothing but a link to nowhere, and a folder', 'ln -s /nowhere /sysroot/var/a'],
  ] as const) {
    sealedAnyway(`/var on the disk is ${title}`, () => {
      assert.equal(boot({ shell, files: config(small), before }).made, assembled);
    });
  }
  sealedAnyway.run();

  failing('/run/var cannot be made', () => {
    const booted = boot({ shell, before: ': >/run/var' });
    assert.is(booted.code, 1);
    assert.equal(booted.made, []);
    assert.match(booted.bootEnv.at(-1) ?? '', /^ERROR=mkdir failed: .*\/run\/var.*File exists/);
  });

  // busybox prefers its own mount to what PATH has.
  const refused = name.startsWith('busybox') ? [] : (['--bind', 'remount', 'tmpfs', 'overlay'] as const);
  for (const part of refused) {
    failing(`mount refuses: ${part}`, () => {
      const shim = `#!/bin/bash\ncase " $* " in *${part}*) printf 'mount: two\\nlines\\n' >&2; exit 32 ;; esac\nexec /usr/bin/mount "$@"\n`;
      const booted = boot({
        shell,
        files: { 'shims/mount': shim },
        before: 'chmod +x /shims/mount; PATH=/shims:$PATH; export PATH',
      });
      assert.is(booted.code, 1);
      assert.equal(booted.made, []);
      assert.equal(booted.run, nothingLeft);
      const error = booted.bootEnv.at(-1) ?? '';
      assert.match(error, /^ERROR=mount failed: mount: two lines \(mount /);
      assert.match(error, part);
    });
  }
  failing.run();
}

const leaks = suite('nothing is left on this machine');
leaks('mounts', () => assert.equal(mounts(), mountsBefore));
leaks.run();
