/** Each condition at its edge: a case on both sides, so that it cannot be another without a test turning red. */
import { all, config, fstab, mount } from '../../harness/changes.ts';
import { inEach, testFindings } from '../../harness/finding.ts';

testFindings('edges', {
  'home-options': {
    'what another mount below /home hides': [
      all(
        mount('below', '0:60 / /home/a rw - tmpfs a rw'),
        mount('over', '0:61 / /home/a rw,noexec,nosuid,nodev - tmpfs b rw'),
      ),
      'pass',
    ],
    'a file system below /home that is read-only': [mount('below', '0:60 / /home/a rw - xfs a ro'), 'pass'],
    'one that can be written to': [mount('below', '0:60 / /home/a rw - xfs a rw'), 'fail'],
    'one option of three': [
      mount('below', '0:60 / /home/a rw,noexec,nosuid - xfs a rw'),
      'fail',
      'xfs at /home/a without nodev',
    ],
  },
  'other-options': {
    'ro is asked of the target, not of what is below': [
      all(
        config('REQUIRE_OPTIONS=/srv:ro,nodev\n'),
        mount('srv', '0:60 / /srv ro,nodev - tmpfs a rw'),
        mount('below', '0:61 / /srv/x rw,nodev - tmpfs b rw'),
      ),
      'pass',
    ],
  },
  'exec-probe': {
    'one target of two': [
      ({ answers }) => {
        answers.probes.exec = 'RAN';
      },
      'fail',
    ],
    'the only one': [
      all(config('REQUIRE_OPTIONS=/tmp:noexec\n'), ({ answers }) => {
        answers.probes.exec = 'RAN';
      }),
      'fail',
      'a program was run',
    ],
    'one that is not there': [
      all(config('REQUIRE_OPTIONS=/none:noexec\n'), ({ answers }) => {
        answers.probes.present = 'NO';
      }),
      'skip',
      'wants noexec of nothing that is there',
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
    'what REQUIRE_READONLY names': [
      all(fstab(), mount('over', '252:1 / /boot ro - xfs evil ro')),
      'fail',
      '/boot is xfs (evil)',
    ],
    'the disk of / once more over /': [mount('over', '253:0 / / ro - xfs again ro'), 'fail', '/ is xfs'],
    'a folder of another disk over itself by name': [
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
