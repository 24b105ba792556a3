/** Tests the boundaries of each condition, with a case on either side of each boundary. */
import { all, another, edit, fstab, handoff, mount, usage, without } from '../../harness/changes.ts';
import { inEach, testFindings } from '../../harness/finding.ts';

const spoolOnVdc = '252:32 / /var/spool ro,nodev - xfs /dev/vdc ro';

testFindings('limits', {
  'var-overlay': {
    'a second lower layer': [
      edit('var', 'lowerdir=/run/immutafs/lower,', 'lowerdir=/run/immutafs/lower:/opt,'),
      'fail',
      'no lowerdir=/run/immutafs/lower',
    ],
    'the lower layer is no mount, but /run is read-only': [
      all(without('lower'), edit('run', '/run rw,', '/run ro,')),
      'fail',
      '/run/immutafs/lower is not mounted read-only',
    ],
    'the lower layer is on a disk of its own, read-only': [
      all(another, edit('lower', '253:0 /var', '252:32 /')),
      'pass',
    ],
    'a file system below /var that is read-only by itself': [
      mount('spool', '252:2 / /var/spool rw,nodev - xfs /dev/vda2 ro'),
      'fail',
      '/var/spool is read-only and not an overlay',
    ],
    'a file system below /var that could not be assembled is named once': [
      all(
        handoff({ LAYER: '/var/spool failed' }),
        mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
      ),
      'fail',
      /^\/var\/spool could not be assembled$/,
    ],
    'a file system below /var whose assembly did not end is named once': [
      all(
        handoff({ LAYER: '/var/spool begun' }),
        mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
      ),
      'fail',
      /^the overlay on \/var\/spool was started and not finished \(see journalctl -u 'immutafs-var@\*'\)$/,
    ],
    'a file system below /var on a writable disk that is not the system’s': [
      mount('spool', '252:16 / /var/spool ro,nodev - xfs /dev/vdb ro'),
      'pass',
    ],
    'a file system below /var on another read-only disk': [
      all(another, mount('spool', spoolOnVdc)),
      'fail',
      '/var/spool is read-only and not an overlay',
    ],
    'a file system below /var on another read-only disk, by a label with a space': [
      all(another, mount('spool', spoolOnVdc), fstab('LABEL=my\\040logs /var/spool xfs ro')),
      'fail',
      '/var/spool is read-only and not an overlay',
    ],
    'a file system below /var on another read-only disk, with an automount': [
      all(another, mount('spool', spoolOnVdc), fstab('/dev/vdc /var/spool xfs noauto,x-systemd.automount')),
      'fail',
      '/var/spool is read-only and not an overlay',
    ],
    'a file system below /var on another read-only disk, with noauto': [
      all(another, mount('spool', spoolOnVdc), fstab('/dev/vdc /var/spool xfs ro,noauto')),
      'pass',
    ],
    'a type that is always read-only': [
      all(another, mount('cd', '252:32 / /var/cd ro - iso9660 /dev/vdc ro')),
      'pass',
    ],
    'a loop device': [
      all(
        ({ devices }) => devices.push({ name: 'loop0', device: '7:0', bus: 'ata', readOnly: true }),
        mount('image', '7:0 / /var/image ro - ext4 /dev/loop0 ro'),
      ),
      'pass',
    ],
    'a mount below /var that another one hides': [
      all(
        mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
        mount('over', '0:60 / /var/spool rw,nodev - tmpfs tmpfs rw'),
      ),
      'pass',
    ],
  },
  'var-usage': {
    'a fraction of a percent is rounded up': [usage({ inodesUsed: 204800 * 0.795 }), 'warn', '80% of 204800'],
    'a tmpfs without a cap is never full': [
      usage({ sizeBytes: 0, usedBytes: 9, inodes: 0, inodesUsed: 9 }),
      'pass',
      '0% of 0 B, 0% of 0 inodes',
    ],
  },
  'root-log': {
    ...inEach(['rescue=all', 'rescue=usebackuproot:nologreplay', 'rescue=all:x'], (option) => [
      edit('root', ' ro,seclabel', ` ro,${option},seclabel`),
      'warn',
    ]),
    ...inEach(['rescue=usebackuproot', 'xnorecovery', 'rescue=allx'], (option) => [
      edit('root', ' ro,seclabel', ` ro,${option},seclabel`),
      'pass',
    ]),
  },
});
