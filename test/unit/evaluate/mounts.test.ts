/** Tests the boundaries of each condition, with a case on either side of each boundary. */
import { all, config, fstab, mount } from '../../harness/changes.ts';
import { inEach, testFindings } from '../../harness/finding.ts';

testFindings('limits', {
  'home-options': {
    'a mount below /home that another one hides': [
      all(
        mount('below', '0:60 / /home/a rw - tmpfs a rw'),
        mount('over', '0:61 / /home/a rw,noexec,nosuid,nodev - tmpfs b rw'),
      ),
      'pass',
    ],
    'a file system below /home that is read-only': [mount('below', '0:60 / /home/a rw - xfs a ro'), 'pass'],
    'a writable file system below /home': [mount('below', '0:60 / /home/a rw - xfs a rw'), 'fail'],
    'one of three options is missing': [
      mount('below', '0:60 / /home/a rw,noexec,nosuid - xfs a rw'),
      'fail',
      'xfs at /home/a without nodev',
    ],
  },
  'other-options': {
    'ro is required of the target, not of mounts below it': [
      all(
        config('REQUIRE_OPTIONS=/srv:ro,nodev\n'),
        mount('srv', '0:60 / /srv ro,nodev - tmpfs a rw'),
        mount('below', '0:61 / /srv/x rw,nodev - tmpfs b rw'),
      ),
      'pass',
    ],
  },
  'exec-probe': {
    'one of two targets': [
      ({ answers }) => {
        answers.probes.exec = 'RAN';
      },
      'fail',
    ],
    'the only target': [
      all(config('REQUIRE_OPTIONS=/tmp:noexec\n'), ({ answers }) => {
        answers.probes.exec = 'RAN';
      }),
      'fail',
      'the program ran',
    ],
    'a target that does not exist': [
      all(config('REQUIRE_OPTIONS=/none:noexec\n'), ({ answers }) => {
        answers.probes.present = 'NO';
      }),
      'skip',
      'requires noexec for no existing path',
    ],
  },
  'stacked-mounts': {
    ...inEach(['/', '/var', '/run', '/run/var', '/proc', '/sys', '/dev', '/etc', '/usr'], (target) => [
      all(
        config('REQUIRE_READONLY=\nREQUIRE_OPTIONS=\n'),
        fstab(),
        mount('one', `252:1 ${target} ${target} ro - xfs one ro`),
        mount('two', `252:1 ${target} ${target} ro - xfs two ro`),
      ),
      'fail',
      `${target} is `,
    ]),
    'the lower layer': [
      mount('over', '253:0 /var /run/immutafs/lower ro - xfs /dev/mapper/rhel-root ro'),
      'fail',
      'hidden: xfs',
    ],
    'the upper layer': [
      all(
        mount('one', '0:60 / /run/var/upper rw - tmpfs one rw,size=1k,nr_inodes=9'),
        mount('two', '0:61 / /run/var/upper rw - tmpfs two rw,size=1k,nr_inodes=9'),
      ),
      'fail',
      '/run/var/upper is tmpfs (two)',
    ],
    'a target of REQUIRE_READONLY': [
      all(fstab(), mount('over', '252:1 / /boot ro - xfs evil ro')),
      'fail',
      '/boot is xfs (evil)',
    ],
    'the disk of / mounted again on /': [mount('over', '253:0 / / ro - xfs again ro'), 'fail', '/ is xfs'],
    'a directory of another disk with the same path': [
      ({ mounts }) => {
        const home = mounts['home'] ?? '';
        delete mounts['home'];
        mounts['itself'] = '252:32 /home /home ro - xfs /dev/vdc rw';
        mounts['home'] = home;
      },
      'fail',
      'hidden: xfs (/dev/vdc)',
    ],
  },
});
