import { config, file } from '../../harness/changes.ts';
import { testChanges } from '../../harness/finding.ts';

testChanges('config-valid', {
  'an unknown key': [
    config('MODES=auto\n'),
    { 'config-valid': 'fail', 'forward-healthy': 'fail' },
    'immutafs.conf:1: MODES: unknown key',
  ],
  'an invalid value of the kernel argument': [
    file('proc/cmdline', 'ro noresume immutafs=yes\n'),
    { 'config-valid': 'fail' },
    'kernel argument immutafs=yes',
  ],
  'no configuration file': [file('etc/immutafs/immutafs.conf', undefined), {}],
});
