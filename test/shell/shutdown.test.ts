import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseMountinfo } from '../../agent/facts/mounts/mountinfo.ts';
import { type UnitFiles, unmountedAtShutdown } from '../harness/systemd-219.ts';
import { generate } from './generate.ts';
import { shells } from './shells.ts';

/** What a sealed guest with RHEL 7's systemd has mounted when it starts in the real root. */
const mountinfo = fs
  .readFileSync(path.join(import.meta.dirname, '../fixtures/mountinfo/centos-7.9-sealed'), 'latin1')
  .split('\n')
  // What comes after /boot is mounted later.
  .filter((line) => Number(line.split(' ', 1)[0]) <= 43 && line !== '')
  .join('\n');
const mounts = parseMountinfo(`${mountinfo}\n`);

/** Of systemd's own, and by systemd-fstab-generator(8). */
const systemFiles: UnitFiles = {
  // By way of emergency.target and sysinit.target.
  'local-fs.target': '[Unit]\nOnFailure=systemd-journal-flush.service\n',
  'systemd-journal-flush.service': '[Unit]\nRequiresMountsFor=/var/log/journal\n',
  'boot.mount': '[Unit]\nBefore=local-fs.target\n[Mount]\nWhere=/boot\nType=xfs\nOptions=ro\n',
  'local-fs.target.requires/boot.mount': '',
};

/** With these nothing was kept (`systemctl show` of such a guest): a drop-in is not enough. */
const dropins = ['var', 'run-var', 'run-immutafs-lower', 'etc-lvm-lvmlocal.conf'].map(
  (name) => [`${name}.mount.d/immutafs.conf`, '[Unit]\nDefaultDependencies=no\n'] as const,
);
const alwaysUnmounted = ['/sys/kernel/config', '/boot'];
const ours = ['/run/immutafs/lower', '/run/var', '/var', '/etc/lvm/lvmlocal.conf'];

const model = suite('the model of systemd 219');
model('drop-ins for what mountinfo has: everything is unmounted, as was seen', () => {
  const unmounted = unmountedAtShutdown(mounts, { ...systemFiles, ...Object.fromEntries(dropins) });
  assert.equal(unmounted.toSorted(), [...alwaysUnmounted, ...ours].toSorted());
});
model('a unit file that nothing names when systemd starts does not help', () => {
  const unit = { 'run-var.mount': '[Unit]\nDefaultDependencies=no\n[Mount]\nWhere=/run/var\n' };
  assert.ok(unmountedAtShutdown(mounts, { ...systemFiles, ...unit }).includes('/run/var'));
});
model('x-initrd.mount keeps what is in a unit file', () => {
  const unit = { 'boot.mount': '[Mount]\nWhere=/boot\nOptions=ro,x-initrd.mount\n' };
  assert.not(unmountedAtShutdown(mounts, { ...systemFiles, ...unit }).includes('/boot'));
});
model.run();

for (const [name, shell] of Object.entries(shells)) {
  const shutdown = suite(`${name}: at shutdown, by systemd 219's rule`);
  shutdown('what the boot mounted for the sealed system stays', () => {
    const { written } = generate(shell, {
      'run/immutafs/boot.env': 'MODE=sealed\nREASON=x\nDISKS=vda:1:virtio-feature\nVAR=overlay\n',
      'etc/fstab': '/dev/mapper/rhel-root / xfs ro 0 0\nUUID=17d7 /boot xfs ro 0 0\n',
      'proc/self/mountinfo': `${mountinfo}\n`,
      'proc/cmdline': 'ro\n',
    });
    const files = Object.fromEntries(
      written.map((line) => [
        line.slice(0, line.indexOf(': ')),
        line.slice(line.indexOf(': ') + 2).replaceAll(';', '\n'),
      ]),
    );
    assert.equal(unmountedAtShutdown(mounts, { ...systemFiles, ...files }), alwaysUnmounted);
  });
  shutdown.run();
}
