/** Tests the boundaries of each condition, with a case on either side of each boundary. */
import { all, another, disk, fstab, mount } from '../../harness/changes.ts';
import { inEach, testFindings } from '../../harness/finding.ts';

testFindings('limits', {
  'fstab-consistent': {
    'the checker of Btrfs does nothing': [
      fstab('/dev/mapper/rhel-root / btrfs ro 0 1', 'UUID=1 /boot xfs ro 0 0'),
      'pass',
    ],
    'pass 1 is a check at boot too': [
      fstab('/dev/mapper/rhel-root / ext4 ro 0 1', 'UUID=1 /boot xfs ro 0 0'),
      'fail',
      'line 1, /: checked at boot (last field is 1)',
    ],
    'a read-only disk that is not the system’s': [
      all(another, fstab('/dev/vdc /srv xfs nodev 0 0'), mount('srv', '252:32 / /srv ro,nodev - xfs a ro')),
      'fail',
      'line 1, /srv: option ro is missing',
    ],
    'a writable disk of the system': [
      all(disk({ offered: false }), fstab('/dev/mapper/rhel-root / xfs defaults 0 0')),
      'fail',
      'line 1, /: option ro is missing',
    ],
    'an overlay that is not below /var': [
      all(fstab('/dev/vdb /srv xfs nodev 0 0'), mount('srv', '0:60 / /srv rw,nodev - overlay o rw')),
      'fail',
      'line 1, /srv: mounted from o (0:60)',
    ],
    'an automount point': [
      all(
        fstab('/dev/vdb /srv xfs nodev,x-systemd.automount 0 0'),
        mount('srv', '0:60 / /srv rw - autofs systemd-1 rw'),
      ),
      'pass',
    ],
    'a missing device': [
      all(fstab('UUID=9 /srv xfs defaults 0 0'), mount('srv', '252:32 / /srv rw - xfs a rw')),
      'fail',
      'line 1, /srv: UUID=9 does not exist',
    ],
    'a missing device with nofail': [
      all(fstab('UUID=9 /srv xfs nofail 0 0'), mount('srv', '252:32 / /srv rw - xfs a rw')),
      'pass',
    ],
    ...inEach(['bind', 'rbind'], (option) => [
      all(fstab(`/dev/shm /srv none ${option} 0 0`), mount('srv', '0:60 / /srv rw - tmpfs a rw')),
      'pass',
    ]),
    ...inEach(['ro', 'noexec', 'nosuid', 'nodev'], (option) => [
      all(fstab(`tmpfs /srv tmpfs ${option} 0 0`), mount('srv', '0:60 / /srv rw,relatime - tmpfs a rw')),
      'fail',
      `mounted without ${option}`,
    ]),
    ...inEach(['ro,rw', 'noexec,exec', 'nosuid,suid', 'nodev,dev'], (options) => [
      all(fstab(`tmpfs /srv tmpfs ${options} 0 0`), mount('srv', '0:60 / /srv rw,relatime - tmpfs a rw')),
      'pass',
    ]),
    ...inEach(
      ['x-systemd.makefs', 'jqfmt=vfsv1', 'gquota', 'qnoenforce', 'gqnoenforce', 'quota'],
      (option) => [
        fstab(`/dev/mapper/rhel-root / xfs ro,${option} 0 0`),
        option === 'qnoenforce' ? 'pass' : 'fail',
      ],
    ),
  },
});
