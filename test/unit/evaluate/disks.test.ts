/** Tests the boundaries of each condition, with a case on either side of each boundary. */
import { all, type Change, config, disk, edit, file, fstab } from '../../harness/changes.ts';
import { inEach, testFindings } from '../../harness/finding.ts';

const withoutDisks: Change = all(edit('root', '253:0 ', '0:99 '), edit('boot', '252:1 ', '0:98 '));

testFindings('limits', {
  'root-readonly': {
    'read-only by the mount alone': [edit('root', ' ro,seclabel', ' rw,seclabel'), 'pass'],
    'read-only by the file system alone': [edit('root', '/ ro,', '/ rw,'), 'pass'],
  },
  'host-enforced': {
    'nothing is on a disk': [withoutDisks, 'fail', 'no disk was found'],
    'the disk below / counts, whatever REQUIRE_READONLY has': [
      all(config('REQUIRE_READONLY=\n'), disk({ offered: false })),
      'fail',
      'not offered',
    ],
    ...inEach(['vda', 'vdb', 'vdc', 'vdd'], (writable) => [
      ({ devices }) => {
        devices.splice(
          0,
          devices.length,
          ...['vda', 'vdb', 'vdc', 'vdd'].map((name, index) => ({
            ...({ name, device: `252:${index * 16}`, bus: 'virtio-blk' } as const),
            offered: name !== writable,
          })),
          { name: 'dm-1', device: '253:1', on: ['vdb', 'vdc'] },
          { name: 'dm-0', device: '253:0', on: ['vda', 'dm-1', 'vdd'] },
        );
      },
      'fail',
      'not offered',
    ]),
  },
  'kernel-lockdown-hints': {
    'nothing is on a disk': [withoutDisks, 'error', 'no system disk was found'],
    'it is unknown who made the disk read-only': [
      ({ devices }) => {
        devices[0] = {
          ...{ name: 'nvme0n1', device: '259:0', bus: 'nvme', readOnly: true },
          partitions: { vda1: '252:1', vda2: '252:2' },
        };
      },
      'warn',
      'writable by root in the guest',
    ],
    'only the setting of signatures is known': [
      file('sys/module/module/parameters/sig_enforce', 'N\n'),
      'pass',
      'modules: unsigned allowed',
    ],
    'signatures are enforced': [
      file('sys/module/module/parameters/sig_enforce', 'Y\n'),
      'pass',
      'modules: signed only',
    ],
    'no module can be loaded': [file('proc/sys/kernel/modules_disabled', '1\n'), 'pass', 'modules: disabled'],
    'nothing is known': [
      all(
        file('proc/sys/kernel/kexec_load_disabled', undefined),
        file('sys/module/module/parameters/sig_enforce', undefined),
      ),
      'pass',
      'lockdown: not supported, modules: unknown, kexec: unknown',
    ],
  },
  'swap-off': {
    'fstab has swap on a writable disk of the system': [
      all(disk({ offered: false }), fstab('/dev/vda1 none swap sw 0 0')),
      'fail',
      '/etc/fstab line 1: /dev/vda1 is on a system disk',
    ],
  },
});
