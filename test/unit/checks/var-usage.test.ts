import { config, usage } from '../../harness/changes.ts';
import { testChanges } from '../../harness/finding.ts';

testChanges('var-usage', {
  '/var is at the warning': [
    usage({ usedBytes: 0.8 * 256 * 1024 * 1024 }),
    { 'var-usage': 'warn' },
    '80% of 256 MiB',
  ],
  '/var is just below the warning': [usage({ usedBytes: 0.79 * 256 * 1024 * 1024 }), {}],
  '/var is full of inodes': [usage({ inodesUsed: 194560 }), { 'var-usage': 'fail' }, '95% of 204800 inodes'],
  '/var is over a configured limit': [config('USAGE_WARN=3%\n'), { 'var-usage': 'warn' }],
});
