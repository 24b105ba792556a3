/** Each condition at its edge: a case on both sides, so that it cannot be another without a test turning red. */
import { all, another, edit, fstab, handoff, mount, usage, without } from '../../harness/changes.ts';
import { inEach, testFindings } from '../../harness/finding.ts';

const spoolOnVdc = '252:32 / /var/spool ro,nodev - xfs /dev/vdc ro';

testFindings('edges', {
  'var-overlay': {
    'a second lower layer beside the first': [
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
      '/var/spool is read-only and no overlay',
    ],
    'one that could not be assembled is named once': [
      all(
        handoff({ LAYER: '/var/spool failed' }),
        mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
      ),
      'fail',
      /^\/var\/spool could not be assembled$/,
    ],
    'one at which the boot was killed is named once': [
      all(
        handoff({ LAYER: '/var/spool begun' }),
        mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
      ),
      'fail',
      /^to put a layer over \/var\/spool was begun and did not end \(journalctl -u 'immutafs-var@\*'\)$/,
    ],
    'one on a disk that is not the system’s': [
      mount('spool', '252:16 / /var/spool ro,nodev - xfs /dev/vdb ro'),
      'pass',
    ],
    'one on another disk that is read-only': [
      all(another, mount('spool', spoolOnVdc)),
      'fail',
      '/var/spool is read-only and no overlay',
    ],
    'likewise, named by a label with a space': [
      all(another, mount('spool', spoolOnVdc), fstab('LABEL=my\\040logs /var/spool xfs ro')),
      'fail',
      '/var/spool is read-only and no overlay',
    ],
    'likewise, on the first access': [
      all(another, mount('spool', spoolOnVdc), fstab('/dev/vdc /var/spool xfs noauto,x-systemd.automount')),
      'fail',
      '/var/spool is read-only and no overlay',
    ],
    'one that an administrator mounts': [
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
    'what another mount below /var hides': [
      all(
        mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
        mount('over', '0:60 / /var/spool rw,nodev - tmpfs tmpfs rw'),
      ),
      'pass',
    ],
  },
  'var-usage': {
    'a part of a per cent counts as one': [usage({ inodesUsed: 204800 * 0.795 }), 'warn', '80% of 204800'],
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
