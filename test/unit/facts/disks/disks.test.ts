import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemReader } from '../../../../agent/system/reader.ts';
import { findDisks } from '../../../../agent/facts/disks/disks.ts';
import { parseMountinfo } from '../../../../agent/facts/mounts/mountinfo.ts';
import { diskScenarios, writeProtected } from '../../../harness/disk-scenarios.ts';
import { type DiskFixture, makeSysfs } from '../../../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

/** Returns the reader of a root directory. @param log lines of the kernel log */
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
    const found = inTemporaryDirectory((root) => {
      makeSysfs(root, devices);
      return findDisks(hostAt(root, writeProtected), mounts(mount(device, '/')));
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
whole('each disk holds its mount points, once', () => {
  const found = inTemporaryDirectory((root) => {
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

whole('the device of a Btrfs is its source, since its device number is anonymous', () => {
  const found = inTemporaryDirectory((root) => {
    makeSysfs(root, [vda]);
    writeFiles(root, { 'dev/vda2': '' });
    return findDisks(hostAt(root), mounts(mount('0:30', '/', 'btrfs', '/dev/vda2')));
  });
  assert.equal(
    found.map(({ name, holds }) => [name, holds]),
    [['vda', ['/']]],
  );
});

whole('a Btrfs on several devices is on all of their disks', () => {
  const found = inTemporaryDirectory((root) => {
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
  const found = inTemporaryDirectory((root) => {
    makeSysfs(root, [vda]);
    return findDisks(hostAt(root), mounts(mount('7:0', '/')));
  });
  assert.equal(found, []);
});

whole('a cleared flag does not override the host’s setting', () => {
  const [disk] = inTemporaryDirectory((root) => {
    makeSysfs(root, [vda]);
    fs.writeFileSync(path.join(fs.realpathSync(path.join(root, 'sys/block/vda')), 'ro'), '0\n');
    return findDisks(hostAt(root), mounts(mount('252:1', '/')));
  });
  assert.equal([disk?.readOnly, disk?.hostReadOnly], [true, true]);
});

whole('the name vda alone does not make a virtio disk', () => {
  const found = inTemporaryDirectory((root) => {
    makeSysfs(root, [{ name: 'vda', device: '7:0', on: [], readOnly: true }]);
    return findDisks(hostAt(root), mounts(mount('7:0', '/')));
  });
  assert.equal(
    found.map(({ bus, hostReadOnly }) => [bus, hostReadOnly]),
    [['virtual', false]],
  );
});

for (const gone of ['ro', 'device/features']) {
  whole(`a missing file of sysfs is an error, not a writable disk: ${gone}`, () => {
    inTemporaryDirectory((root) => {
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
