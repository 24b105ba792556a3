import * as assert from 'uvu/assert';
import type { DiskFixture } from '../harness/sysfs.ts';
import { runInSandbox } from './sandbox.ts';
import { vda } from './sealed-disk.ts';
import { shim, withoutBusybox } from './shells.ts';

const sda = (readOnly: boolean): DiskFixture => ({
  name: 'sda',
  device: '8:0',
  bus: 'virtio-scsi',
  readOnly,
});
const vdb: DiskFixture = { name: 'vdb', device: '252:16', bus: 'virtio-blk' };

withoutBusybox('propagate-readonly', (test, shell) => {
  const setro = (
    devices: Parameters<typeof runInSandbox>[0]['devices'],
    device = 'dm-0',
    files: Record<string, string> = {},
  ) =>
    runInSandbox({
      shell,
      devices: devices ?? [],
      files: { ...files, 'usr/libexec/immutafs/set-readonly': shim('echo "$@" >>/out/calls') },
      run: `sh /usr/libexec/immutafs/propagate-readonly ${device}`,
    });
  const dm0 = (...on: string[]) => ({ name: 'dm-0', device: '253:0', on });
  for (const [title, devices, expected, exitCode, device] of [
    ['on a sealed disk', [vda(true), dm0('vda2')], '/dev/dm-0\n', 0],
    ['on a writable disk', [vda(false), dm0('vda2')], undefined, 1],
    ['on two disks, one of them sealed', [vda(true), vdb, dm0('vda2', 'vdb')], undefined, 1],
    ['read-only by a flag of the guest', [{ ...vda(false), readOnly: true }, dm0('vda2')], '/dev/dm-0\n', 1],
    ['only its own flag is set', [vda(false), { ...dm0('vda2'), readOnly: true }], undefined, 1],
    ['on a read-only SCSI disk', [sda(true), dm0('sda')], '/dev/dm-0\n', 0],
    [
      'on a read-only disk of a kind that a guest can create',
      [{ ...sda(true), bus: 'scsi_debug' }, dm0('sda')],
      '/dev/dm-0\n',
      1,
    ],
    [
      'an array on sealed disks',
      [vda(true), sda(true), { ...dm0('vda2', 'sda'), name: 'md127' }],
      undefined,
      0,
      'md127',
    ],
    [
      'an array on one sealed disk',
      [vda(true), sda(false), { ...dm0('vda2', 'sda'), name: 'md127' }],
      undefined,
      1,
      'md127',
    ],
    [
      'on a stack on a sealed disk',
      [
        vda(true),
        { name: 'dm-1', device: '253:1', on: ['vda2'] },
        { name: 'dm-0', device: '253:0', on: ['dm-1'] },
      ],
      '/dev/dm-0\n',
      0,
    ],
    ['a device that does not exist', [vda(true)], undefined, 1],
  ] as const) {
    test(title, () => {
      const { code, out, stderr } = setro(devices, device);
      assert.is(out['calls'], expected);
      assert.equal([code, stderr], [exitCode, '']);
    });
  }
  const paths = [sda(true), { ...sda(false), name: 'sdb', device: '8:16' }];
  const above = { name: 'dm-1', device: '253:1', on: ['dm-0'] };
  for (const [title, devices, uuid, expected] of [
    ['a multipath device with a read-only path', [...paths, dm0('sda', 'sdb')], 'mpath-x', '/dev/dm-0\n'],
    ['a volume on it', [...paths, dm0('sda', 'sdb'), above], 'mpath-x', '/dev/dm-1\n'],
    ['another device on the same disks', [...paths, dm0('sda', 'sdb')], 'LVM-x', undefined],
    ['a multipath device with writable paths', [...paths, dm0('sdb')], 'mpath-x', undefined],
  ] as const) {
    test(`not sealed: ${title}`, () => {
      const files = { 'sys/class/block/dm-0/dm/uuid': `${uuid}\n` };
      const { code, out, stderr } = setro([...devices], devices.at(-1)?.name, files);
      assert.equal([code, out['calls'], stderr], [1, expected, '']);
    });
  }
});
