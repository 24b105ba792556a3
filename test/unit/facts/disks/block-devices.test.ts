import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemReader } from '../../../../agent/system/reader.ts';
import { type BlockDevice, findBlockDevices } from '../../../../agent/facts/disks/block-devices.ts';
import { diskScenarios, stackScenarios, writeProtected } from '../../../harness/disk-scenarios.ts';
import { type DiskFixture, type StackFixture, makeSysfs } from '../../../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const vda: DiskFixture = {
  name: 'vda',
  device: '252:0',
  bus: 'virtio-blk',
  offered: true,
  partitions: { vda1: '252:1', vda2: '252:2' },
};
const loop: StackFixture = { name: 'loop0', device: '7:0', on: [], readOnly: true };

interface Options {
  files?: Record<string, string | { linkTo: string }>;
  change?: (root: string) => void;
}

function find(
  devices: (DiskFixture | StackFixture)[],
  { files = {}, change = () => undefined }: Options = {},
): BlockDevice[] {
  return inTemporaryDirectory((root) => {
    makeSysfs(root, devices);
    writeFiles(root, files);
    change(root);
    return findBlockDevices(
      { ...systemReader({ root }), kernelLog: () => writeProtected },
      new Map(),
      () => undefined,
    );
  });
}
const by = (devices: BlockDevice[], name: string) => devices.find((each) => each.name === name);

const scenarios = suite('findBlockDevices');
for (const [title, { devices, device, disks }] of Object.entries(diskScenarios)) {
  scenarios(`the same disks as findDisks: ${title}`, () => {
    const found = find(devices).find((each) => each.device === device);
    assert.equal(
      found?.disks
        .map(({ name, readOnly }) => ({ name, readOnly }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
      disks.map(({ name, readOnly }) => ({ name, readOnly })),
    );
    const words = disks.map(({ hostReadOnly }) => hostReadOnly);
    assert.is(found?.hostReadOnly, words.includes(false) ? false : words.includes(null) ? null : true);
  });
}

for (const [title, { devices, sealed }] of Object.entries(stackScenarios)) {
  scenarios(`read-only by the host: ${title}`, () => {
    const found = find(devices).find(({ device }) => device === '253:0');
    assert.is(found?.hostReadOnly, sealed);
  });
}

scenarios('every device, mounted or not, with the devices below it', () => {
  const found = find([vda, { name: 'dm-0', device: '253:0', on: ['vda2'], dm: { name: 'a-b', uuid: 'x' } }]);
  assert.equal(
    found.map(({ name, file, stack, tags }) => [name, file, stack, tags]),
    [
      ['dm-0', '/dev/mapper/a-b', ['dm-0', 'vda2', 'vda'], ['DM=a-b']],
      ['vda', '/dev/vda', ['vda'], []],
      ['vda1', '/dev/vda1', ['vda1', 'vda'], []],
      ['vda2', '/dev/vda2', ['vda2', 'vda'], []],
    ],
  );
});

scenarios('a loop device is not read-only by the host, whatever its flag', () => {
  assert.is(by(find([loop]), 'loop0')?.hostReadOnly, false);
});

scenarios('a device of size 0 is left out', () => {
  const change = (root: string) =>
    fs.writeFileSync(path.join(root, 'sys/devices/virtual/block/loop0/size'), '0\n');
  assert.equal(find([loop], { change }), []);
});

scenarios('a device that was unplugged meanwhile is left out', () => {
  const change = (root: string) => {
    fs.rmSync(path.join(root, 'sys/devices/virtual/block/loop0'), { recursive: true });
    fs.rmSync(path.join(fs.realpathSync(path.join(root, 'sys/class/block/vda1')), 'dev'));
  };
  assert.equal(
    find([vda, loop], { change }).map(({ name }) => name),
    ['vda', 'vda2'],
  );
});

scenarios('a guest without block devices, and one without sysfs', () => {
  assert.equal(find([]), []);
  assert.equal(find([], { change: (root) => fs.rmSync(path.join(root, 'sys'), { recursive: true }) }), []);
});

scenarios('more than 4096 devices are an error', () => {
  inTemporaryDirectory((root) => {
    makeSysfs(root, []);
    const list = () => Array.from({ length: 4097 }, (_, index) => `x${index}`);
    const host = { ...systemReader({ root }), list };
    assert.throws(() => findBlockDevices(host, new Map(), () => undefined), /more than 4096 devices/);
  });
});

scenarios('a cycle of devices ends', () => {
  const change = (root: string) => {
    fs.symlinkSync('../../dm-1', path.join(root, 'sys/devices/virtual/block/dm-0/slaves/dm-1'));
  };
  const rings: StackFixture[] = [
    { name: 'dm-0', device: '253:0', on: [] },
    { name: 'dm-1', device: '253:1', on: ['dm-0'] },
  ];
  assert.equal(
    find(rings, { change }).map(({ stack, disks, hostReadOnly }) => [stack.length, disks, hostReadOnly]),
    [
      [2, [], false],
      [2, [], false],
    ],
  );
});

scenarios('any record in udev’s database: the devices are found', () => {
  const bytes = fc.string({ unit: fc.nat({ max: 255 }).map((code) => String.fromCharCode(code)) });
  const keys = ['ID_FS_UUID', 'ID_FS_TYPE', 'ID_FS_LABEL_ENC', 'DM_VG_NAME', 'ID_PART_ENTRY_UUID'];
  const lines = fc.array(
    fc.tuple(fc.constantFrom(...keys), bytes).map(([key, value]) => `E:${key}=${value}`),
  );
  inTemporaryDirectory((root) => {
    makeSysfs(root, [vda]);
    fc.assert(
      fc.property(lines, bytes, (properties, garbage) => {
        const text = `${properties.join('\n')}\n${garbage}\n`;
        writeFiles(root, { 'run/udev/data/b252:0': text, 'run/udev/data/b252:2': text });
        const found = findBlockDevices(systemReader({ root }), new Map(), () => undefined);
        assert.equal(
          found.map(({ name, hostReadOnly }) => [name, hostReadOnly]),
          [
            ['vda', true],
            ['vda1', true],
            ['vda2', true],
          ],
        );
      }),
    );
  });
});

scenarios(
  'a physical volume is read only if the host made its disk read-only and no volume is active',
  () => {
    const pv = { ID_FS_TYPE: 'LVM2_member', ID_FS_UUID: 'a' };
    const text = Object.entries(pv)
      .map(([key, value]) => `E:${key}=${value}\n`)
      .join('');
    const lv: StackFixture = {
      name: 'dm-0',
      device: '253:0',
      on: ['vda2'],
      dm: { name: 'rhel-root', uuid: `LVM-${'g'.repeat(32)}${'v'.repeat(32)}` },
    };
    const files = {
      'run/udev/data/b252:2': text,
      'run/udev/data/b253:0': 'E:DM_VG_NAME=rhel\n',
      'dev/vda2': '',
    };
    for (const [devices, expected] of [
      [[vda], ['/dev/vda2']],
      [[vda, lv], []],
      [[{ ...vda, offered: false }], []],
    ] as const) {
      const asked: string[] = [];
      inTemporaryDirectory((root) => {
        makeSysfs(root, devices);
        writeFiles(root, files);
        const reader = systemReader({ root });
        const readAt = (file: string, offset: number, length: number) => {
          asked.push(file);
          return reader.readAt(file, offset, length);
        };
        findBlockDevices({ ...reader, readAt }, new Map(), () => undefined);
      });
      assert.equal([...new Set(asked)], expected);
    }
  },
);
scenarios.run();
