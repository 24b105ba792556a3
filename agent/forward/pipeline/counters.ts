import type { ForwardCounts } from '../../facts/forwarder.ts';

export type Counts = ForwardCounts;

export function noCounts(): Counts {
  return { acknowledged: 0, repeated: 0, lost: 0, corrupt: 0, refused: 0, cut: 0, suppressed: 0 };
}
