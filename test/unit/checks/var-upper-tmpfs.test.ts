import { edit } from '../../harness/changes.ts';
import { testChanges } from '../../harness/finding.ts';

testChanges('var-upper-tmpfs', {
  'the upper layer is on a disk': [
    edit('upper', '- tmpfs immutafs', '- xfs /dev/vdb'),
    { 'var-upper-tmpfs': 'fail', footholds: 'warn' },
    'xfs',
  ],
  'the upper layer has no size': [
    edit('upper', 'size=262144k,', ''),
    { 'var-upper-tmpfs': 'fail' },
    'no limit for bytes',
  ],
  'the upper layer has no number of inodes': [
    edit('upper', 'nr_inodes=204800,', ''),
    { 'var-upper-tmpfs': 'fail' },
    'no limit for inodes',
  ],
});
