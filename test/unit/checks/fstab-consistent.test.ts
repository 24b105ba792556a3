import { all, edit, file, fstabLine, moreFstab, replaceFstab } from '../../harness/changes.ts';
import { records, secondDisk } from '../../harness/copies.ts';
import { inEach, testChanges, testFindings } from '../../harness/finding.ts';

testChanges('fstab-consistent', {
  'fstab has no ro for /': [
    fstabLine('/', '/dev/mapper/rhel-root / xfs defaults 0 0'),
    'fail: line 1, /: option ro is missing',
  ],
  'a later rw in fstab undoes ro': [
    fstabLine('/', '/dev/mapper/rhel-root / xfs ro,rw 0 0'),
    'fail: option ro is missing',
  ],
  'fstab has ext4 checked at boot': [
    fstabLine('/boot', 'UUID=1 /boot ext4 ro 0 2'),
    'fail: line 2, /boot: checked at boot (last field is 2)',
  ],
  'XFS may have a check at boot, which does nothing': [fstabLine('/boot', 'UUID=1 /boot xfs ro 0 2'), {}],
  'a writable disk may be checked at boot': [
    fstabLine('/home', '/dev/vdb /home ext4 noexec,nosuid,nodev 1 2'),
    {},
  ],
  ...inEach(
    [
      ...['usrquota', 'grpquota', 'prjquota', 'uquota', 'pqnoenforce', 'usrjquota=a', 'x-systemd.growfs'],
      ...['x-systemd.makefs', 'jqfmt=vfsv1', 'gquota', 'gqnoenforce', 'quota'],
    ],
    (option) => [
      fstabLine('/', `/dev/mapper/rhel-root / xfs ro,${option} 0 0`),
      `fail: line 1, /: ${option}`,
    ],
  ),
  ...inEach(['noquota', 'qnoenforce'], (option) => [
    fstabLine('/', `/dev/mapper/rhel-root / xfs ro,${option} 0 0`),
    {},
  ]),
  'fstab names another device for /home': [
    all(fstabLine('/home', '/dev/vda2 /home xfs ro,noexec,nosuid,nodev 0 0'), file('dev/vda2', '')),
    'fail: mounted from /dev/vdb (252:16), not from /dev/vda2',
  ],
  'a line of fstab is not mounted': [
    moreFstab('/dev/vdb /srv xfs nodev 0 0'),
    'fail: line 6, /srv: not mounted',
  ],
  'a line with nofail is not mounted': [moreFstab('/dev/vdb /srv xfs nodev,nofail 0 0'), {}],
  'a line with noauto is not mounted': [moreFstab('/dev/vdb /srv xfs nodev,noauto 0 0'), {}],
  'fstab is damaged': [moreFstab('/dev/vdb'), 'fail: line 6: fewer than three fields'],
  'no fstab at all': [file('etc/fstab', undefined), 'pass: no line'],
  '/var in fstab may be rw: the boot mounts it read-only': [
    all(moreFstab('/dev/vda2 /var xfs defaults 0 0'), file('dev/vda2', '')),
    {},
  ],
});

const bootFrom = (number: string) => edit('boot', '252:1', number);
const bootCopied = all(secondDisk(), records(['252:1', '252:33'], { ID_FS_TYPE: 'xfs', ID_FS_UUID: '1' }));
const linkToCopy = file('dev/disk/by-uuid/1', { linkTo: '../../vdc1' });

testFindings('fstab-consistent: beside a copy of /boot', {
  'the link points to the copy, the original is mounted': [bootCopied, linkToCopy, 'pass'],
  'the copy is mounted: reported by mounts-genuine': [bootCopied, bootFrom('252:33'), linkToCopy, 'pass'],
  'another device is mounted': [bootCopied, bootFrom('252:34'), linkToCopy, 'fail: not from UUID=1'],
});

const linkToClone = file('dev/disk/by-uuid/h', { linkTo: '../../vdc1' });
const homeCloned = all(
  secondDisk(),
  replaceFstab('/dev/vdb /home', 'UUID=h /home'),
  records(['252:16', '252:33'], { ID_FS_TYPE: 'xfs', ID_FS_UUID: 'h' }),
  linkToClone,
);

testFindings('fstab-consistent: beside a clone of the writable /home', {
  'the link points to the clone, the other one is mounted': [homeCloned, 'pass'],
  'the clone is mounted': [homeCloned, edit('home', '252:16', '252:33'), 'pass'],
  'a device with another UUID is mounted': [
    all(homeCloned, edit('home', '252:16', '252:34')),
    'fail: not from UUID=h',
  ],
});
