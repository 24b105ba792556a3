import os from 'node:os';
import * as assert from 'uvu/assert';
import { type Boot, bootIn, config, small } from './assemble-var.ts';
import { generatorIn, kept, runVar, same } from './generator.ts';
import { inShells } from './shells.ts';

const restricted = 'noexec,nosuid,nodev';
const defaults = '/dev/shm /var/tmp /var/log'
  .split(' ')
  .map((target) => `${target}:${restricted}`)
  .join(' ');
const warning =
  'WARNING=MOUNT_OPTIONS could not be set everywhere; see the messages of make-mounts on the console';

/** Lines of bash that mount what systemd mounts in the initramfs. */
const apiMounts = 'mkdir -p /dev/shm; mount -t tmpfs -o nosuid,nodev x /dev/shm';
const folders = { 'sysroot/var/tmp/x': '', 'sysroot/var/log/x': '', 'sysroot/var/log/audit/x': '' };

/** Returns the options of each mount at these targets after assemble-var has run in the initramfs. */
const afterBoot = `for target in /dev/shm /sysroot/var /sysroot/var/tmp /sysroot/var/log /sysroot/var/log/audit; do
  findmnt -n -o TARGET,VFS-OPTIONS -M $target
done | tr -s ' '`;

/** The set of the unit of RHEL 7 (systemd 219, units/systemd-logind.service.in) without CAP_SYS_ADMIN. */
const logindCapabilities =
  'CAP_MAC_ADMIN CAP_AUDIT_CONTROL CAP_CHOWN CAP_KILL CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_FOWNER CAP_SYS_TTY_CONFIG';

inShells('initramfs', (test, shell) => {
  const boot = bootIn(shell);
  const tryBoot = (files: Boot['files'], { before = '', ...more }: Partial<Boot> = {}) => {
    const booted = boot({
      ...{ before: `${apiMounts}\n${before}`, after: afterBoot, ...more },
      files: { ...folders, ...files },
    });
    const mounts = booted.after.trimEnd().split('\n');
    return {
      ...{ mounts, targets: mounts.map((line) => line.split(' ')[0]), stderr: booted.stderr },
      warnings: booted.bootEnv.filter((line) => line.startsWith('WARNING=')),
    };
  };

  test('the defaults', () => {
    const { mounts, warnings } = tryBoot(config(small));
    assert.equal(mounts, [
      '/dev/shm rw,nosuid,nodev,noexec,relatime',
      '/sysroot/var rw,nosuid,nodev,relatime',
      '/sysroot/var/tmp rw,nosuid,nodev,noexec,relatime',
      '/sysroot/var/log rw,nosuid,nodev,noexec,relatime',
    ]);
    assert.equal(warnings, []);
  });
  test('no options', () => {
    assert.equal(tryBoot(config(`${small}MOUNT_OPTIONS=\n`)).mounts, [
      '/dev/shm rw,nosuid,nodev,relatime',
      '/sysroot/var rw,nosuid,nodev,relatime',
    ]);
  });
  test('maintenance', () => {
    assert.equal(tryBoot(config(small), { disk: 'writable' }).mounts, ['/dev/shm rw,nosuid,nodev,relatime']);
  });
  test('strict, and one more path', () => {
    const { mounts } = tryBoot(config(`${small}MOUNT_OPTIONS=/var/log/audit:nodev strict\n`));
    assert.equal(
      mounts,
      ['/dev/shm', '/sysroot/var', '/sysroot/var/tmp', '/sysroot/var/log', '/sysroot/var/log/audit'].map(
        (target) => `${target} rw,nosuid,nodev,noexec,relatime`,
      ),
    );
  });
  test('a path that fstab mounts is left to late boot', () => {
    const fstab = '/dev/mapper/rhel-root / xfs ro 0 0\n/dev/vda9 /var/log xfs defaults 0 0\n';
    const { targets } = tryBoot({
      ...config(`${small}MOUNT_OPTIONS=${defaults} /var/log/audit:noexec\n`),
      'sysroot/etc/fstab': fstab,
    });
    assert.equal(targets, ['/dev/shm', '/sysroot/var', '/sysroot/var/tmp']);
  });
  test('a symbolic link is not followed to a directory of the initramfs: recorded, and the other paths are set', () => {
    const { targets, warnings, stderr } = tryBoot(config(small), {
      before: 'rm -r /sysroot/var/tmp; mkdir -p /tmp; ln -s /tmp /sysroot/var/tmp',
    });
    assert.equal(targets, ['/dev/shm', '/sysroot/var', '/sysroot/var/log']);
    assert.equal(warnings, [warning]);
    assert.match(stderr, 'make-mounts: /sysroot/var/tmp is a symbolic link\n');
  });

  const units = (value: string, before = '', fstab = '') =>
    generatorIn(shell)({
      config: `MOUNT_OPTIONS=${value}\n`,
      fstab,
      before: `mkdir -p /var/log /run/var; mount -t tmpfs -o nosuid,nodev x /var
       mkdir /var/log; mount --bind /var/log /var/log
       ${before}`,
    });
  const command = (options: string, target: string) =>
    `[Service];ExecStart=;ExecStart=/usr/libexec/immutafs/make-mounts options ${options} ${target}`;

  test('mounts with the options need no unit, except at shutdown', () => {
    same(
      units(`/var/log:${restricted}`, 'mount -o remount,bind,noexec,nosuid,nodev /var/log'),
      kept(['/var/log', '/run/var']),
    );
  });
  test('a mount without an option, and a path that is mounted later', () => {
    const [homeUnit, logUnit] = ['home', 'var-log'].map((each) => `immutafs-mount-options@${each}.service`);
    same(units('/home:noexec /var/log:noexec', '', '/dev/vdz /home btrfs nofail 0 0\n'), [
      `${homeUnit}.d/immutafs.conf: [Unit];RequiresMountsFor=/home;${command('noexec', '/home')}`,
      `${logUnit}.d/immutafs.conf: [Unit];RequiresMountsFor=/var/log;Before=local-fs.target;${command('noexec', '/var/log')}`,
      ...kept(['/run/var'], `Wants=${homeUnit};Wants=${logUnit};`),
    ]);
  });
  test('programs run from /run at shutdown', () => {
    const service = 'immutafs-mount-options@run.service';
    same(units('/run:noexec,nosuid', 'mount --bind /run /run; mount -o remount,bind,nosuid,noexec /run'), [
      `${service}.d/immutafs.conf: ${command('noexec,nosuid', '/run')};[Service];ExecStop=/usr/libexec/immutafs/make-mounts options exec /run`,
      ...kept(['/run/var'], `Wants=${service};`),
    ]);
  });
  test('the directories of users', () => {
    const service = 'immutafs-user-runtime@';
    same(units('/run/user/*:noexec'), [
      ...runVar,
      `user@.service.d/immutafs.conf: [Unit];Wants=${service}%i.service;After=${service}%i.service`,
      `${service}.service.d/immutafs.conf: ${command('noexec', '/run/user/%i')}`,
    ]);
  });
  test('the directories of users on RHEL 7: one tmpfs, in which logind cannot mount another', () => {
    const el7 = 'rm /usr/lib/systemd/system/user-runtime-dir@.service';
    const logind = `systemd-logind.service.d/immutafs.conf: [Unit];After=run-user.mount;[Service];CapabilityBoundingSet=;CapabilityBoundingSet=${logindCapabilities}`;
    const tmpfs = (options: string) =>
      `run-user.mount: [Unit];Before=local-fs.target;[Mount];What=tmpfs;Where=/run/user;Type=tmpfs;Options=mode=0755,size=${Math.floor(os.totalmem() / 10240)}k,nosuid,nodev,${options}`;
    same(units('/run/user/*:noexec', el7), [
      logind,
      tmpfs('noexec'),
      ...kept(['/run/var'], 'Wants=run-user.mount;'),
    ]);
    const both = units('/run/user/*:nodev /run/user/*:noexec', el7);
    assert.ok(both.includes(tmpfs('nodev,noexec')), both.join('\n'));
    assert.is(both.filter((line) => line.startsWith('systemd-logind')).length, 1);
    // The file system of an administrator gets the options instead.
    const own = units('/run/user/*:noexec', el7, 'tmpfs /run/user tmpfs size=1g 0 0\n');
    const service = 'immutafs-mount-options@run-user.service';
    assert.ok(
      own.some((line) => line.startsWith(`${service}.d/immutafs.conf: `) && /noexec \/run\/user$/.test(line)),
    );
    assert.ok(!own.some((line) => line.startsWith('run-user.mount')), own.join('\n'));
    assert.ok(own.includes(logind), own.join('\n'));
  });
  test('two items for a path', () => {
    const [first, ...more] = units('/srv:noexec /srv:nodev').filter((line) =>
      line.startsWith('immutafs-mount-options@srv'),
    );
    assert.equal(more, []);
    assert.match(
      first ?? '',
      /ExecStart=;ExecStart=\S+ options noexec \/srv;.*;\[Service\];ExecStart=\S+ options nodev \/srv$/,
    );
  });
});
