import { formatBytes } from '../format.ts';
import { seen } from '../observe/observed.ts';
import type { Check } from './check.ts';

/** The RAM under /var is not about to run out: bytes and inodes against USAGE_WARN and USAGE_FAIL. */
export const varUsage: Check = {
  id: 'var-usage',
  severity: 'required',
  seal: true,
  evaluate: ({ config, varUsage }) => {
    const usage = seen(varUsage);
    const bytes = percent(usage.usedBytes, usage.sizeBytes);
    const inodes = percent(usage.inodesUsed, usage.inodes);
    const worst = Math.max(bytes, inodes);
    const warn = parseInt(config.USAGE_WARN, 10);
    const fail = parseInt(config.USAGE_FAIL, 10);
    const observed = `${bytes}% of ${formatBytes(usage.sizeBytes)}, ${inodes}% of ${usage.inodes} inodes`;
    const expected = `less than ${warn}%`;
    const status = worst >= fail ? 'fail' : worst >= warn ? 'warn' : 'pass';
    const remedy =
      status === 'pass'
        ? ''
        : 'Find what grows with `du -xh /run/var/upper | sort -h | tail`; make it write less, or raise VAR_SIZE or VAR_INODES.';
    return { status, subject: '/var', expected, observed, remedy };
  },
};

/** Rounded up, so that 100 means full; without a capacity there is no share (a tmpfs without a cap). */
function percent(used: number, size: number): number {
  return size > 0 ? Math.ceil((used / size) * 100) : 0;
}
