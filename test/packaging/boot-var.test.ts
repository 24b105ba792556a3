import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseBootEnv } from '../../agent/facts/boot/boot-env.ts';
import {
  type Boot,
  assembled,
  bootIn,
  config,
  env,
  machineMounts,
  nothingLeft,
  overlay,
  small,
} from '../shell/initramfs.ts';
import { noModules, noOverlay as noOverlayFound } from '../shell/late-boot.ts';
import { inTemporaryDirectory, writeFiles } from '../harness/temporary.ts';
import { readFstab } from '../../boot/guest/fstab.ts';
import { howVarIsMounted } from '../../boot/guest/units.ts';
import { rootReader } from '../harness/boot-native.ts';
import { inNamespace } from '../shell/shells.ts';

const mountsBefore = machineMounts();

inNamespace('sealed', (test, shell) => {
  const boot = bootIn(shell);
  test('the layers, boot.env and the message on the console', () => {
    const booted = boot({
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

  test('the overlay has the mode and owner of the /var on the disk', () => {
    const { made, after } = boot({
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
    test(text.trim(), () => assert.is(boot({ files: config(text) }).made[2], expected));
  }

  test('the upper layer has a limit without a configuration', () => {
    const { made } = boot({});
    assert.match(made[1] ?? '', /^\/run\/var tmpfs \S+ size=\d+k,nr_inodes=204800,mode=700$/);
  });

  test('the limit of inodes is enforced', () => {
    const { after } = boot({
      files: config('VAR_SIZE=8m\nVAR_INODES=1000\n'),
      after: 'i=0; while [ $i -lt 1100 ] && : >/sysroot/var/$i; do i=$((i + 1)); done; echo; echo $i',
    });
    const created = Number(after.trim().split('\n').at(-1));
    assert.ok(created > 900 && created < 1000, String(created));
  });

  test('the device of the file system of the initramfs is recorded', () => {
    const { after } = boot({
      after: 'sed -n s/^INITRAMFS=//p /run/immutafs/boot.env; mountpoint -d /',
    });
    const [recorded, device] = after.trim().split('\n');
    assert.is(recorded, device);
  });

  test('warnings are recorded in boot.env', () => {
    const { bootEnv, stderr } = boot({
      files: { ...config('SEED=no\nNONE=1\n'), 'proc/cmdline': 'immutafs=on\n' },
    });
    const warnings = [
      '/etc/immutafs/immutafs.conf:1: SEED: must be none or host, using none',
      '/etc/immutafs/immutafs.conf:2: NONE: unknown key, ignoring it',
      'kernel argument immutafs=on: must be auto, sealed or off, ignoring it',
    ];
    assert.equal(bootEnv, [...env({}), ...warnings.map((warning) => `WARNING=${warning}`)]);
    assert.is(stderr.split('\n').filter((line) => line.startsWith('immutafs: warning: ')).length, 3);
  });

  for (const [title, offered, target, isNamed] of [
    ['/usr on a disk that the host left writable', false, '/usr', true],
    ['/opt/app on a disk that the host left writable', false, '/opt/app', true],
    ['/usr on a disk that the host made read-only', true, '/usr', false],
    ['data on a disk that the host left writable', false, '/usrx', false],
  ] as const) {
    test(`a warning of programs: ${title}`, () => {
      const { bootEnv } = boot({
        files: {
          ...config(small),
          'sysroot/etc/fstab': `/dev/mapper/rhel-root / xfs ro 0 0\n/dev/vdb ${target} xfs ro 0 0\n`,
        },
        devices: [{ name: 'vdb', device: '252:16', bus: 'virtio-blk', offered }],
        before: 'mknod /dev/vdb b 252 16',
      });
      const warning = `WARNING=${target} is on a disk that the host left writable (vdb:0:none): this guest is not sealed. Make this disk read-only on the host`;
      assert.equal(bootEnv, [...env({}), ...(isNamed ? [warning] : [])]);
    });
  }

  test('with shared mounts, as systemd makes them, the overlay does not propagate to its own lower layer', () => {
    const { made, after } = boot({
      files: config(small),
      before: 'mount --make-rshared /sysroot; mount --make-rshared /',
      after: 'echo new >/sysroot/var/lib/x; cat /run/immutafs/lower/lib/x',
    });
    assert.equal(made, assembled);
    assert.is(after, 'disk\n');
  });

  test('a second run changes nothing', () => {
    const command = '/usr/libexec/immutafs/immutafs-boot initramfs /sysroot';
    const { made, bootEnv, code } = boot({ files: config(small), script: `${command} && ${command}/` });
    assert.equal(made, assembled);
    assert.equal(bootEnv, env({}));
    assert.is(code, 0);
  });

  const [sealedDisk, writableDisk] = ['vda:1:virtio-feature', 'vda:0:none'];
  const unknown = (device: string) => `no disk under / is known (device ${device})`;
  for (const [title, disk, conf, cmdline, MODE, REASON, DISKS] of [
    ['writable', 'writable', '', 'ro\n', 'maintenance', 'disk vda is writable', writableDisk],
    ['writable, MODE=sealed', 'writable', 'MODE=sealed\n', 'ro\n', 'sealed', 'MODE=sealed', writableDisk],
    ['sealed, MODE=off', 'sealed', 'MODE=off\n', 'ro\n', 'off', 'MODE=off', sealedDisk],
    [
      'the kernel argument overrides MODE',
      ...(['sealed', 'MODE=sealed\n', 'ro immutafs=off\n'] as const),
      ...(['off', 'kernel argument immutafs=off', sealedDisk] as const),
    ],
    [
      'the kernel argument auto: the disk decides',
      ...(['sealed', 'MODE=off\n', 'immutafs=auto'] as const),
      ...(['sealed', 'disk vda is read-only (virtio-feature)', sealedDisk] as const),
    ],
    ['no disk', 'none', '', 'ro\n', 'maintenance', unknown('0:N, tmpfs'), ''],
    ['a device that is not in sysfs', 'unknown', '', 'ro\n', 'maintenance', unknown('7:N, ext4'), ''],
  ] as const) {
    test(`the mode: ${title}`, () => {
      const booted = boot({ disk, files: { ...config(conf), 'proc/cmdline': cmdline } });
      const numbered = booted.bootEnv.map((line) => line.replace(/(device \d+):\d+/, '$1:N'));
      const isSealed = MODE === 'sealed';
      assert.equal(numbered, env({ MODE, REASON, DISKS, VAR: isSealed ? 'overlay' : 'disk' }));
      assert.equal([booted.made.length, booted.code], [isSealed ? 3 : 0, 0]);
    });
  }
});

const unit = 'etc/systemd/system/var.mount';
const line = '/dev/mapper/rhel-var /var xfs defaults 0 0\n';

inNamespace('a separate /var is left to late boot', (test, shell) => {
  for (const [title, files, mountedBy] of [
    ['by device', { 'etc/fstab': line }, 'device'],
    [
      'by UUID, among others',
      { 'etc/fstab': '# x\nUUID=1 / xfs ro 0 0\n\nUUID=2\t/var\txfs\tx 0 0\n' },
      'device',
    ],
    ['without a newline', { 'etc/fstab': 'UUID=1 / xfs ro 0 0\nUUID=2 /var xfs defaults 0 0' }, 'device'],
    ['with a slash at the end', { 'etc/fstab': 'LABEL=var /var/ ext4 defaults 0 0\n' }, 'device'],
    ['with two slashes', { 'etc/fstab': '/dev/vdb1 //var xfs defaults 0 0\n' }, 'device'],
    ['over the network', { 'etc/fstab': 'server:/x /var nfs defaults 0 0\n' }, '/etc/fstab'],
    ['/variable only', { 'etc/fstab': '/dev/vdb1 /variable xfs defaults 0 0\n' }, 'own'],
    ['/var/log only', { 'etc/fstab': '/dev/vdb1 /var/log xfs defaults 0 0\n' }, 'own'],
    ['a comment', { 'etc/fstab': `#${line}` }, 'own'],
    ['no fstab', {}, 'own'],
    ['a mount unit', { [unit]: '[Mount]\n' }, `/${unit}`],
    [
      'a mount unit that is a link',
      { [unit]: { linkTo: '/usr/lib/systemd/system/other.mount' } },
      `/${unit}`,
    ],
    ['a mount unit that is masked', { 'etc/fstab': line, [unit]: { linkTo: '/dev/null' } }, 'own'],
    ['a mount unit that is masked by being empty', { 'etc/fstab': line, [unit]: '' }, 'own'],
  ] as const) {
    test(title, () => {
      const found = inTemporaryDirectory((root) => {
        writeFiles(root, files);
        const reader = rootReader(root);
        const how = howVarIsMounted(reader, readFstab(reader));
        return how.by === 'other' ? how.file : how.by;
      });
      assert.is(found, mountedBy);
    });
  }

  const boot = bootIn(shell);
  for (const [title, files, own] of [
    ['a line of fstab', { 'sysroot/etc/fstab': line }, false],
    ['a mount unit', { [`sysroot/${unit}`]: '[Mount]\n' }, false],
    ['neither', { 'sysroot/etc/fstab': '' }, true],
  ] as const) {
    test(`the boot with ${title}`, () => {
      const { made, bootEnv } = boot({ files: { ...config(small), ...files } });
      assert.equal(made, own ? assembled : []);
      assert.equal(bootEnv, env({ VAR: own ? 'overlay' : 'deferred' }));
    });
  }
});

inNamespace('failures', (test, shell) => {
  const boot = bootIn(shell);
  const noOverlay = { 'proc/filesystems': 'nodev\ttmpfs\n\text4\nnodev\toverlayfs\n' };
  /** Asserts that /var could not be assembled and that nothing remains. @returns the error, and the messages */
  const fail = (options: Boot, code = 1, policy = 'degraded') => {
    const booted = boot(options);
    assert.equal([booted.code, booted.made, booted.run], [code, [], nothingLeft]);
    assert.equal(booted.bootEnv.slice(0, -1), env({ VAR: 'failed', ON_FAILURE: policy }));
    return [booted.bootEnv.at(-1) ?? '', booted.stderr] as const;
  };
  for (const [policy, code] of [
    ['degraded', 1],
    ['emergency', 10],
    ['poweroff', 11],
  ] as const) {
    test(`no overlay in the kernel, ON_FAILURE=${policy}`, () => {
      const files = { ...config(`ON_FAILURE=${policy}\n`), ...noOverlay };
      const [error, stderr] = fail({ before: noModules, files }, code, policy);
      assert.match(error, noOverlayFound);
      assert.match(stderr, `/var failed: ${error.replace('ERROR=', '')}\n`);
    });
  }

  for (const [policy, code] of [
    ['degraded', 1],
    ['emergency', 10],
    ['poweroff', 11],
  ] as const) {
    for (const disk of ['sealed', 'writable'] as const) {
      test(`without an answer about the disks, the boot is sealed, ON_FAILURE=${policy}: ${disk}`, () => {
        const files = config(`${small}ON_FAILURE=${policy}\n`);
        const booted = boot({ disk, files, before: 'rm /sys/class/block/vda/device/features' });
        const reason =
          /^REASON=(the disks under \/ are unknown \(\/sys\/.*\/features: No such file or directory\))$/m.exec(
            booted.bootEnv.join('\n'),
          )?.[1] ?? '';
        const record = env({ REASON: reason, DISKS: '', ON_FAILURE: policy });
        assert.equal([booted.code, booted.bootEnv], [code, [...record, `ERROR=${reason}`]]);
        assert.equal(booted.made, assembled);
      });
    }
  }
  test('without an answer about fstab, /var is sealed, and ON_FAILURE applies', () => {
    const files = config(`${small}ON_FAILURE=emergency\n`);
    const before = 'rm /sysroot/etc/fstab; mkdir /sysroot/etc/fstab';
    const { code, bootEnv } = boot({ files, before });
    assert.is(code, 10);
    assert.match(bootEnv.at(-1) ?? '', /^ERROR=\/etc\/fstab is unknown: /);
  });

  test('ON_FAILURE=poweroff has no effect in maintenance', () => {
    const { code } = boot({ disk: 'writable', files: { ...config('ON_FAILURE=poweroff\n'), ...noOverlay } });
    assert.is(code, 0);
  });

  const unreadable = '/sysroot/var on the disk is not a readable directory: .*';
  const debugfs = (command: string) => `debugfs -w -R '${command}' /image 2>/dev/null`;
  for (const [title, options, error] of [
    ['absent', { before: 'rm -r /sysroot/var' }, `${unreadable}No such file.*`],
    ['a file', { before: 'rm -r /sysroot/var; : >/sysroot/var' }, `${unreadable}not a directory.*`],
    ['damaged: its inode', { damage: debugfs('clri /var') }, unreadable],
    [
      'damaged: its only block',
      { damage: debugfs('zap_block -f /var 0') },
      '/run/immutafs/lower has subdirectories, but its entries cannot be read',
    ],
  ] as const) {
    test(`/var on the disk is ${title}`, () =>
      assert.match(fail(options)[0], new RegExp(`^ERROR=${error}$`)));
  }

  for (const [title, before] of [
    ['empty', 'rm -r /sysroot/var/*'],
    ['a single directory whose name begins with a dot', 'mv /sysroot/var/lib /sysroot/var/.lib'],
    ['a dangling link and a directory', 'ln -s /nowhere /sysroot/var/a'],
  ] as const) {
    test(`/var on the disk is ${title}`, () => {
      assert.equal(boot({ files: config(small), before }).made, assembled);
    });
  }

  test('/run/var cannot be created', () => {
    const booted = boot({ before: ': >/run/var' });
    assert.is(booted.code, 1);
    assert.equal(booted.made, []);
    assert.match(booted.bootEnv.at(-1) ?? '', /^ERROR=/);
  });

  for (const [part, expected] of [
    ['bind', /^ERROR=the bind mount of \/sysroot\/var failed: Input\/output error$/],
    ['mountAt tmpfs', /^ERROR=the mount of the tmpfs on \/run\/var failed: Input\/output error$/],
    ['mountAt overlay', /^ERROR=the mount of the overlay on \/sysroot\/var failed: Input\/output error$/],
  ] as const) {
    test(`a mount fails: ${part}`, () => {
      assert.match(fail({ files: { fail: part, ...config('MOUNT_OPTIONS=\n') } })[0], expected);
    });
  }
});

const leaks = suite('no mount remains on this machine');
leaks('mounts', () => assert.equal(machineMounts(), mountsBefore));
leaks.run();
