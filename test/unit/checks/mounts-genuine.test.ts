/** Tests changes of the good guest in which file systems are mounted from a copy instead of the sealed disk. */
import type { Status } from '../../../agent/checks/check.ts';
import {
  type Change,
  all,
  config,
  disk,
  edit,
  file,
  fstab,
  handoff,
  mount,
  nothing,
} from '../../harness/changes.ts';
import {
  bothPartitions as both,
  cmdline,
  copied,
  part,
  plainRoot,
  record,
  records,
  secondDisk,
  xfs,
} from '../../harness/copies.ts';
import { testFindings } from '../../harness/finding.ts';

const rootAt = (source: string, properties: Record<string, string>) =>
  all(plainRoot('252:34'), copied(properties), cmdline(`root=${source}`), fstab());
const bootFrom = (number: string) => edit('boot', '252:1', number);
const bootCopied = all(secondDisk(), records(['252:1', '252:33'], { ID_FS_TYPE: 'xfs', ID_FS_UUID: '1' }));
const linkToCopy = file('dev/disk/by-uuid/1', { linkTo: '../../vdc1' });
const overlayOnOpt = (device: string) => [
  config('OVERLAY=/opt\n'),
  mount('viewopt', `${device} / /run/immutafs/below/opt ro - xfs /dev/x ro`),
  mount(
    'opt',
    '0:50 / /opt rw,nosuid,nodev - overlay immutafs rw,lowerdir=/run/immutafs/below/opt,upperdir=/run/var/below/opt/upper,workdir=/run/var/below/opt/work',
  ),
];
testFindings('mounts-genuine', {
  'mounts-genuine': {
    'udev has no record of any device': [nothing, 'pass'],
    'a copy exists and is not mounted': [copied(xfs), 'pass'],
    ...Object.fromEntries(
      (
        [
          ['UUID=1f5a-ab', xfs],
          ['LABEL=root', { ID_FS_LABEL_ENC: 'root' }],
          ['PARTUUID=ab-02', { ...part, ID_PART_ENTRY_UUID: 'ab-02' }],
          ['PARTLABEL=system', { ...part, ID_PART_ENTRY_NAME: 'system' }],
          ['/dev/disk/by-uuid/1f5a-AB', xfs],
          ['block:LABEL=root', { ID_FS_LABEL_ENC: 'root' }],
        ] as const
      ).map(([source, properties]): [string, [Change, Status, string]] => [
        `root=${source} is a copy`,
        [rootAt(source, properties), 'fail', 'the system runs from the impostor /dev/vdc2'],
      ]),
    ),
    'root= names the device, and its content is a copy': [rootAt('/dev/vda2', xfs), 'fail', 'UUID=1f5a-AB'],
    'root= is given twice: the last one counts': [
      all(
        plainRoot('252:34'),
        secondDisk(),
        record('252:2', { ID_FS_LABEL_ENC: 'a' }),
        record('252:34', { ID_FS_LABEL_ENC: 'b' }),
        cmdline('root=LABEL=a root=LABEL=b'),
        fstab(),
      ),
      'pass',
    ],
    'fstab names the root': [
      all(rootAt('/dev/vda2', { ID_FS_LABEL_ENC: 'root' }), fstab('LABEL=root / ext4 ro 0 0')),
      'fail',
      'LABEL=root is on the sealed /dev/vda2',
    ],
    'the sealed disk is SCSI, without evidence of write protection': [
      all(
        rootAt('UUID=1f5a-AB', xfs),
        disk({
          name: 'sda',
          bus: 'virtio-scsi',
          readOnly: true,
          offered: false,
          partitions: { sda1: '252:1', sda2: '252:2' },
        }),
      ),
      'fail',
      'UUID=1f5a-AB is on the sealed /dev/sda2',
    ],
    'the mounted device is gone': [
      all(rootAt('UUID=1f5a-AB', xfs), (guest) => {
        guest.devices = guest.devices.filter(({ name }) => name !== 'vdc');
      }),
      'fail',
      'the system runs from the impostor /dev/x',
    ],
    'the root is mounted from the sealed disk beside a copy': [
      all(
        plainRoot('252:2'),
        copied({ ...xfs, ID_FS_LABEL_ENC: 'root' }),
        cmdline('root=LABEL=root'),
        fstab(),
      ),
      'pass',
    ],
    'the root is the copy that the host made read-only, too': [
      all(
        plainRoot('252:34'),
        secondDisk({ offered: true }),
        records(both, xfs),
        cmdline('root=UUID=1f5a-AB'),
        fstab(),
      ),
      'pass',
    ],
    'the copy of the root has the flag of a read-only device': [
      all(
        plainRoot('252:34'),
        secondDisk({ readOnly: true }),
        records(both, xfs),
        cmdline('root=UUID=1f5a-AB'),
        fstab(),
      ),
      'fail',
    ],
    'the copy of /boot is mounted, and the link points to it': [
      all(bootCopied, bootFrom('252:33'), linkToCopy),
      'fail',
      '/boot is mounted from the impostor /dev/vdc1: UUID=1 is on the sealed /dev/vda1',
    ],
    'the original /boot is mounted, and the link points to the copy': [all(bootCopied, linkToCopy), 'pass'],
    'the copy of /usr, by mount.usr=': [
      all(
        copied({ ID_FS_LABEL_ENC: 'usr' }),
        mount('usr', '252:34 / /usr ro - xfs /dev/vdc2 ro'),
        cmdline('root=/dev/mapper/rhel-root mount.usr=LABEL=usr'),
        fstab('LABEL=usr /usr xfs ro 0 0'),
      ),
      'fail',
      '/usr is mounted from the impostor /dev/vdc2',
    ],
    '/opt is on its own disk, which is not a copy': [
      all(
        copied({}),
        record('252:34', xfs),
        mount('opt', '252:34 / /opt rw - xfs /dev/vdc2 rw'),
        fstab('UUID=1f5a-AB /opt xfs noexec 0 0'),
      ),
      'pass',
    ],
    'an overlay of OVERLAY over the copy': [
      all(copied(xfs), ...overlayOnOpt('252:34'), fstab('UUID=1f5a-AB /opt xfs ro 0 0')),
      'fail',
      '/opt is mounted from the impostor /dev/vdc2',
    ],
    'an overlay of OVERLAY over the sealed volume': [
      all(copied(xfs), ...overlayOnOpt('252:2'), fstab('UUID=1f5a-AB /opt xfs ro 0 0')),
      'pass',
    ],
    'a line of fstab that is not mounted': [
      all(copied(xfs), fstab('UUID=1f5a-AB /opt xfs noauto,ro 0 0')),
      'pass',
    ],
    'an overlay below /var over the copy': [
      all(
        copied(xfs),
        mount('lowerlog', '252:34 / /run/immutafs/below/var+log ro - xfs /dev/vdc2 ro'),
        mount('varlog', '0:50 / /var/log rw - overlay immutafs rw,lowerdir=/run/immutafs/below/var+log'),
        handoff({ LAYER: '/var/log overlay' }),
        fstab('UUID=1f5a-AB /var/log xfs defaults 0 0'),
      ),
      'fail',
      '/var/log is mounted from the impostor /dev/vdc2',
    ],
    'an overlay below /var over the original': [
      all(
        copied(xfs),
        mount('lowerlog', '252:2 / /run/immutafs/below/var+log ro - xfs /dev/vda2 ro'),
        mount('varlog', '0:50 / /var/log rw - overlay immutafs rw,lowerdir=/run/immutafs/below/var+log'),
        handoff({ LAYER: '/var/log overlay' }),
        fstab('UUID=1f5a-AB /var/log xfs defaults 0 0'),
      ),
      'pass',
    ],
    'udev’s database cannot be read': [record('252:2', { A: 'x'.repeat(300_000) }), 'error', 'larger than'],
  },
});
