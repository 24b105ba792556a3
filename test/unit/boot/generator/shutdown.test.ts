import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseMountinfo } from '../../../../agent/facts/mounts/mountinfo.ts';
import { type UnitFiles, unmountedAtShutdown } from '../../../harness/systemd-219.ts';
import { generate } from '../../../harness/generator.ts';

/** The mounts of a sealed guest with RHEL 7's systemd at the time when systemd starts in the real root. */
const mountinfo = fs
  .readFileSync(path.join(import.meta.dirname, '../../../fixtures/mountinfo/centos-7.9-sealed'), 'latin1')
  .split('\n')
  // Mounts after /boot are made later.
  .filter((line) => Number(line.split(' ', 1)[0]) <= 43 && line !== '')
  .join('\n');
const mounts = parseMountinfo(`${mountinfo}\n`);

/** Units of systemd and of systemd-fstab-generator(8). */
const systemFiles: UnitFiles = {
  // systemd loads this service through emergency.target and sysinit.target.
  'local-fs.target': '[Unit]\nOnFailure=systemd-journal-flush.service\n',
  'systemd-journal-flush.service': '[Unit]\nRequiresMountsFor=/var/log/journal\n',
  'boot.mount': '[Unit]\nBefore=local-fs.target\n[Mount]\nWhere=/boot\nType=xfs\nOptions=ro\n',
  'local-fs.target.requires/boot.mount': '',
};

/** Drop-ins without unit files, which keep no mount, as `systemctl show` reported in such a guest. */
const dropins = ['var', 'run-var', 'run-immutafs-lower', 'etc-lvm-lvmlocal.conf'].map(
  (name) => [`${name}.mount.d/immutafs.conf`, '[Unit]\nDefaultDependencies=no\n'] as const,
);
const alwaysUnmounted = ['/sys/kernel/config', '/boot'];
const ours = ['/run/immutafs/lower', '/run/var', '/var', '/etc/lvm/lvmlocal.conf'];

const model = suite('the model of systemd 219');
model('drop-ins for mounts in mountinfo: everything is unmounted, as observed', () => {
  const unmounted = unmountedAtShutdown(mounts, { ...systemFiles, ...Object.fromEntries(dropins) });
  assert.equal(unmounted.toSorted(), [...alwaysUnmounted, ...ours].toSorted());
});
model('a unit file that no loaded unit names has no effect', () => {
  const unit = { 'run-var.mount': '[Unit]\nDefaultDependencies=no\n[Mount]\nWhere=/run/var\n' };
  assert.ok(unmountedAtShutdown(mounts, { ...systemFiles, ...unit }).includes('/run/var'));
});
model('x-initrd.mount keeps a mount that has a unit file', () => {
  const unit = { 'boot.mount': '[Mount]\nWhere=/boot\nOptions=ro,x-initrd.mount\n' };
  assert.not(unmountedAtShutdown(mounts, { ...systemFiles, ...unit }).includes('/boot'));
});
model.run();

const test = suite('at shutdown, by the rules of systemd 219');
const unitsOf = (config: string, found: string): UnitFiles => {
  const written = generate({
    record: 'DISKS=vda:1:virtio-feature\n',
    fstab: '/dev/mapper/rhel-root / xfs ro 0 0\nUUID=17d7 /boot xfs ro 0 0\n',
    config,
    files: { 'proc/self/mountinfo': found, 'proc/cmdline': 'ro\n' },
  });
  const files: UnitFiles = { ...systemFiles };
  for (const line of written) {
    files[line.slice(0, line.indexOf(': '))] = line.slice(line.indexOf(': ') + 2).replaceAll(';', '\n');
  }
  return files;
};

test('the mounts of the sealed boot stay', () => {
  assert.equal(unmountedAtShutdown(mounts, unitsOf('', `${mountinfo}\n`)), alwaysUnmounted);
});

test('the paths of SCRATCH are unmounted, and their file system stays until the end', () => {
  const config = 'SCRATCH=/var/cache/app\nSCRATCH_DEVICE=/dev/disk/by-id/virtio-scratch\n';
  const disk = '/run/immutafs/scratch-disk';
  const later = parseMountinfo(
    `90 43 253:9 / ${disk} rw - ext4 /dev/mapper/immutafs-scratch rw\n91 43 0:60 / /var/cache/app rw - overlay immutafs rw\n`,
  );
  const files = unitsOf(config, `${mountinfo}\n`);
  assert.equal(unmountedAtShutdown([...mounts, ...later], files), [...alwaysUnmounted, '/var/cache/app']);
  const without = Object.entries(files).filter(([name]) => !name.startsWith('run-immutafs-scratch'));
  assert.ok(unmountedAtShutdown([...mounts, ...later], Object.fromEntries(without)).includes(disk));
});
test.run();
