import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemReader } from '../../../../agent/system/reader.ts';
import { findDisks } from '../../../../agent/facts/disks/disks.ts';
import { parseMountinfo } from '../../../../agent/facts/mounts/mountinfo.ts';
import { diskScenarios } from '../../../harness/disk-scenarios.ts';
import { type DiskFixture, makeSysfs } from '../../../harness/sysfs.ts';
import { inTemporaryFolder, writeFiles } from '../../../harness/temporary.ts';

/** @param log what the kernel said */
const hostAt = (root: string, log: readonly string[] = []) => ({
  ...systemReader({ root }),
  kernelLog: () => [...log],
});
const mounts = (...lines: string[]) =>
  parseMountinfo(lines.map((line, index) => `${index + 1} 0 ${line}\n`).join(''));
const mount = (device: string, target: string, type = 'xfs', source = '/dev/x') =>
  `${device} / ${target} ro - ${type} ${source} rw`;

const scenarios = suite('findDisks');
for (const [title, { devices, device, disks }] of Object.entries(diskScenarios)) {
  scenarios(title, () => {
    const found = inTemporaryFolder((root) => {
      makeSysfs(root, devices);
      return findDisks(hostAt(root), mounts(mount(device, '/')));
    });
    assert.equal(
      found.map(({ name, bus, readOnly, hostReadOnly }) => ({ name, bus, readOnly, hostReadOnly })),
      disks,
    );
    for (const { evidence, holds } of found) {
      assert.ok(evidence.length > 10);
      assert.equal(holds, ['/']);
    }
  });
}
scenarios.run();

const vda: DiskFixture = {
  name: 'vda',
  device: '252:0',
  bus: 'virtio-blk',
  offered: true,
  partitions: { vda1: '252:1', vda2: '252:2' },
};
const vdb: DiskFixture = { name: 'vdb', device: '252:16', bus: 'virtio-blk' };

const whole = suite('several file systems');
whole('each disk holds what is mounted on it, once', () => {
  const found = inTemporaryFolder((root) => {
    makeSysfs(root, [vdb, vda, { name: 'dm-0', device: '253:0', on: ['vda2'] }]);
    return findDisks(
      hostAt(root),
      mounts(
        mount('253:0', '/'),
        mount('252:1', '/boot'),
        mount('252:16', '/home'),
        mount('253:0', '/var/lib/docker'),
        mount('252:16', '/home'),
        mount('0:42', '/var', 'overlay', 'immutafs'),
        mount('0:40', '/srv', 'nfs', 'server:/x'),
      ),
    );
  });
  assert.equal(
    found.map(({ name, holds }) => [name, holds]),
    [
      ['vda', ['/', '/var/lib/docker', '/boot']],
      ['vdb', ['/home']],
    ],
  );
});

whole('Btrfs names its device, since its number is nobody else’s', () => {
  const found = inTemporaryFolder((root) => {
    makeSysfs(root, [vda]);
    writeFiles(root, { 'dev/vda2': '' });
    return findDisks(hostAt(root), mounts(mount('0:30', '/', 'btrfs', '/dev/vda2')));
  });
  assert.equal(
    found.map(({ name, holds }) => [name, holds]),
    [['vda', ['/']]],
  );
});

whole('a Btrfs on several devices is on all of them, though it names one', () => {
  const found = inTemporaryFolder((root) => {
    makeSysfs(root, [vda, vdb]);
    writeFiles(root, {
      'dev/vda2': '',
      'sys/fs/btrfs/features/raid1c34': '0\n',
      'sys/fs/btrfs/1-2/devices/vda2': { linkTo: '../../../../class/block/vda2' },
      'sys/fs/btrfs/1-2/devices/vdb': { linkTo: '../../../../class/block/vdb' },
    });
    return findDisks(hostAt(root), mounts(mount('0:30', '/', 'btrfs', '/dev/vda2')));
  });
  assert.equal(
    found.map(({ name, hostReadOnly, holds }) => [name, hostReadOnly, holds]),
    [
      ['vda', true, ['/']],
      ['vdb', false, ['/']],
    ],
  );
});

whole('a device that sysfs does not know has no disks', () => {
  const found = inTemporaryFolder((root) => {
    makeSysfs(root, [vda]);
    return findDisks(hostAt(root), mounts(mount('7:0', '/')));
  });
  assert.equal(found, []);
});

whole('what the host offers is not undone by the flag', () => {
  const [disk] = inTemporaryFolder((root) => {
    makeSysfs(root, [vda]);
    fs.writeFileSync(path.join(fs.realpathSync(path.join(root, 'sys/block/vda')), 'ro'), '0\n');
    return findDisks(hostAt(root), mounts(mount('252:1', '/')));
  });
  assert.equal([disk?.readOnly, disk?.hostReadOnly], [true, true]);
});

whole('a device with a name of virtio’s is not one for that', () => {
  const found = inTemporaryFolder((root) => {
    makeSysfs(root, [{ name: 'vda', device: '7:0', on: [], readOnly: true }]);
    return findDisks(hostAt(root), mounts(mount('7:0', '/')));
  });
  assert.equal(
    found.map(({ bus, hostReadOnly }) => [bus, hostReadOnly]),
    [['virtual', null]],
  );
});

for (const gone of ['ro', 'device/features']) {
  whole(`an entry that vanishes is an error, not a writable disk: ${gone}`, () => {
    inTemporaryFolder((root) => {
      makeSysfs(root, [vda]);
      const node = fs.realpathSync(path.join(root, 'sys/block/vda'));
      fs.rmSync(path.join(node, gone));
      assert.throws(
        () => findDisks(hostAt(root), mounts(mount('252:1', '/'))),
        (error: unknown) => error instanceof Error && /no such file/.test(error.message),
      );
    });
  });
}
whole.run();

/** linux-6.12, a disk of QEMU's with readonly=on. */
const said = (word: string, address = '2:0:0:0', facility = 0) =>
  `${facility * 8 + 5},300,1000000,-;sd ${address}: [sda] Write Protect is ${word}\n SUBSYSTEM=scsi\n DEVICE=+scsi:${address}`;
const sda: DiskFixture = { name: 'sda', device: '8:0', bus: 'virtio-scsi', readOnly: true };

const scsi = suite('SCSI write protect');
for (const [title, readOnly, log, expected] of [
  ['the kernel said on', true, [said('on')], true],
  ['the kernel said off: only a flag', true, [said('off')], false],
  ['another disk', true, [said('on', '2:0:1:0')], null],
  ['the last word counts', true, [said('on'), said('off')], false],
  ['somebody else wrote it to the log', true, [said('on', '2:0:0:0', 1)], null],
  ['nothing was said', true, [], null],
  ['the flag is off', false, [said('on')], false],
] as const) {
  scsi(title, () => {
    const [disk] = inTemporaryFolder((root) => {
      makeSysfs(root, [{ ...sda, readOnly }]);
      return findDisks(hostAt(root, log), mounts(mount('8:0', '/')));
    });
    assert.is(disk?.hostReadOnly, expected);
    assert.is(disk?.readOnly, readOnly);
  });
}
for (const [title, log, evidence, expected] of [
  ['the last report has the word', [], "SCSI write protect is on, by the kernel's log", true],
  ['and had it from one before', [], "SCSI write protect is on, by the kernel's log (seen at boot)", true],
  [
    'of another kind of disk, by the same name',
    [],
    'virtio feature VIRTIO_BLK_F_RO offered by the host',
    null,
  ],
  ['the log has another', [said('off')], "SCSI write protect is on, by the kernel's log", false],
] as const) {
  scsi(`remembered: ${title}`, () => {
    const [disk] = inTemporaryFolder((root) => {
      makeSysfs(root, [sda]);
      const before = { readOnly: true, hostReadOnly: true, evidence };
      return findDisks(hostAt(root, log), mounts(mount('8:0', '/')), (name) =>
        name === 'sda' ? before : undefined,
      );
    });
    assert.is(disk?.hostReadOnly, expected);
  });
}
scsi.run();
