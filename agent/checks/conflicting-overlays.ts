import { unwrap } from '../facts/observed.ts';
import { type Check, judge } from './check.ts';

export const rivalsOff: Check = {
  id: 'rivals-off',
  messageId: 'd041640d4c264c5a90c47caffb76d9e6',
  subject: 'other overlays',
  expected: 'none',
  evaluate: ({ conflictingOverlays, mounts }) =>
    judge(
      [
        ...unwrap(conflictingOverlays),
        ...(mounts.serving('/')?.type === 'overlay' ? ['/ is an overlay'] : []),
      ],
      'none',
      'Disable it while the disk is writable: see immutafs-agent status --explain rivals-off.',
    ),
};
