import { file } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';

testChanges('mtab-link', {
  '/etc/mtab is a file': [file('etc/mtab', 'x'), { 'mtab-link': 'fail' }, 'not a link'],
  '/etc/mtab does not exist': [file('etc/mtab', undefined), { 'mtab-link': 'fail' }],
  '/etc/mtab points elsewhere': [
    file('etc/mtab', { linkTo: '/run/mtab' }),
    { 'mtab-link': 'fail' },
    'a link to /run/mtab',
  ],
  '/etc/mtab points to /proc/mounts': [file('etc/mtab', { linkTo: '/proc/mounts' }), {}],
});

testFindings('mtab-link', {
  'mtab-link': {
    'a link to a name that only begins with /proc/mounts': [
      file('etc/mtab', { linkTo: '/proc/mounts.old' }),
      'fail',
    ],
  },
});
