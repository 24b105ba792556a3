import * as assert from 'uvu/assert';
import { type Boot, bootIn, config, small } from '../shell/initramfs.ts';
import { inNamespace } from '../shell/shells.ts';

const restricted = 'noexec,nosuid,nodev';
const defaults = '/dev/shm /var/tmp /var/log'
  .split(' ')
  .map((target) => `${target}:${restricted}`)
  .join(' ');
const warning = 'WARNING=MOUNT_OPTIONS could not be set for /var/tmp: /sysroot/var/tmp is a symbolic link';

/** Lines of bash that mount what systemd mounts in the initramfs. */
const apiMounts = 'mkdir -p /dev/shm; mount -t tmpfs -o nosuid,nodev x /dev/shm';
const folders = { 'sysroot/var/tmp/x': '', 'sysroot/var/log/x': '', 'sysroot/var/log/audit/x': '' };

/** Returns the options of each mount at these targets after `immutafs-boot initramfs` has run in the initramfs. */
const afterBoot = `for target in /dev/shm /sysroot/var /sysroot/var/tmp /sysroot/var/log /sysroot/var/log/audit; do
  findmnt -n -o TARGET,VFS-OPTIONS -M $target
done | tr -s ' '`;

inNamespace('initramfs', (test, shell) => {
  const boot = bootIn(shell);
  const tryBoot = (files: Boot['files'], { before = '', ...more }: Partial<Boot> = {}) => {
    const booted = boot({
      ...{ before: `${apiMounts}\n${before}`, after: afterBoot, ...more },
      files: { ...folders, ...files },
    });
    const mounts = booted.after.trimEnd().split('\n');
    return {
      ...{ mounts, targets: mounts.map((line) => line.split(' ')[0]) },
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
    const { targets, warnings } = tryBoot(config(small), {
      before: 'rm -r /sysroot/var/tmp; mkdir -p /tmp; ln -s /tmp /sysroot/var/tmp',
    });
    assert.equal(targets, ['/dev/shm', '/sysroot/var', '/sysroot/var/log']);
    assert.equal(warnings, [warning]);
  });
});
