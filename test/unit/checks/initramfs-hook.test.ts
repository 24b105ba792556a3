import { file, handoff } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';

testChanges('initramfs-hook', {
  'the hook did not run': [
    file('run/immutafs/boot.env', undefined),
    { 'initramfs-hook': 'warn' },
    'the hook did not run',
  ],
  'the hook is of another version': [
    handoff({ VERSION: '0.0.9' }),
    { 'initramfs-hook': 'warn' },
    'the hook of 0.0.9',
  ],
  'the boot record is damaged': [
    handoff({ MODE: 'nonsense' }),
    { 'initramfs-hook': 'error' },
    'MODE=nonsense is not one of',
  ],
});

testFindings('initramfs-hook', {
  'initramfs-hook': {
    'late boot decided the mode': [handoff({ STAGE: 'late' }), 'warn'],
  },
});
