import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findSystemDisks } from '../../../agent/assess/system-disks.ts';
import { parseConfig } from '../../../agent/config/config.ts';
import { mountTable } from '../../../agent/facts/mounts/mountinfo.ts';

const disk = (name: string, ...holds: string[]) => ({
  ...{ name, bus: 'virtio-blk', readOnly: true, hostReadOnly: true, evidence: '' },
  holds,
});
const mounts = mountTable(
  [
    '1 0 252:1 / / ro - xfs /dev/vda1 ro',
    '2 1 252:16 / /boot ro - xfs /dev/vdb ro',
    '3 1 252:32 / /home rw - xfs /dev/vdc rw',
    '4 1 0:40 / /tmp rw - tmpfs tmpfs rw',
    '',
  ].join('\n'),
);
const disks = [disk('vda', '/'), disk('vdb', '/boot'), disk('vdc', '/home')];
const find = (config: string) => findSystemDisks({ mounts, ...parseConfig(config) }, disks);

const system = suite('findSystemDisks');
for (const [title, config, expected] of [
  ['the disks below / and /boot by default', '', ['vda', 'vdb']],
  ['the disk below /, whatever REQUIRE_READONLY names', 'REQUIRE_READONLY=\n', ['vda']],
  ['the disk that serves a directory', 'REQUIRE_READONLY=/home/a /usr\n', ['vda', 'vdc']],
] as const) {
  system(title, () =>
    assert.equal(
      find(config).disks.map(({ name }) => name),
      expected,
    ),
  );
}
system('includes: one disk of several is enough', () => {
  const { includes } = find('');
  assert.is(includes([{ name: 'vdc' }, { name: 'vdb' }]), true);
  assert.is(includes([{ name: 'vdc' }, { name: 'vd' }]), false);
  assert.is(includes([]), false);
});
system('holds: a mount on a disk of the system', () => {
  const { holds } = find('');
  assert.is(holds(mounts.serving('/boot/grub2')), true);
  assert.is(holds(mounts.serving('/opt')), true);
  assert.is(holds(mounts.serving('/home')), false);
  assert.is(holds(mounts.serving('/tmp')), false);
  assert.is(holds(undefined), false);
});
system.run();
