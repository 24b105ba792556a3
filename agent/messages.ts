import type { Status } from './checks/check.ts';

/** journald's MESSAGE_ID of everything that the agent logs (journal-fields(7)); never changed, never reused. */
export const messageIds: Record<Status | 'verdict', string> = {
  verdict: '8b081808444b4cb88d9aaee7db9939f8',
  pass: 'b56892b6d3464d499455d613cd41d12b',
  fail: '6a3d81500b1d4e4397321e5492d22e25',
  warn: 'f65bc9ea4101498081cf11e2ef7221b5',
  skip: 'd9963f0a0b2142d383fb13d3eacf5fb2',
  error: 'ba53fff06cfa4bd2b87b33f1170d331d',
};
