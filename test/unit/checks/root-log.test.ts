import type { Status } from '../../../agent/checks/check.ts';
import { type Change, edit } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';

testChanges('root-log', {
  ...Object.fromEntries(
    ['norecovery', 'noload', 'nologreplay', 'rescue=nologreplay'].map(
      (option): [string, [Change, Record<string, Status>, string]] => [
        `/ is mounted with ${option}`,
        [
          edit('root', ' ro,seclabel', ` ro,${option},seclabel`),
          { 'root-log': 'warn' },
          'log that was not replayed',
        ],
      ],
    ),
  ),
  'the lower layer is mounted with norecovery': [
    edit('lower', ' ro,seclabel', ' ro,norecovery,seclabel'),
    { 'root-log': 'warn' },
  ],
});

testFindings('root-log', {
  'root-log': {
    '/ with norecovery': [edit('root', 'ro,seclabel', 'ro,norecovery,seclabel'), 'warn', 'not replayed'],
    'the lower layer with noload': [edit('lower', 'ro,seclabel', 'ro,noload,seclabel'), 'warn'],
  },
});
