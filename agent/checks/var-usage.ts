import { formatBytes } from '../lib/format.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** The RAM under /var is not about to run out: bytes and inodes against USAGE_WARN and USAGE_FAIL. */
export const varUsage: Check = {
  id: 'var-usage',
  severity: 'required',
  seal: true,
  messageId: 'f9c348caf9d54bd1967b9b3d1fd3bfe5',
  documentation: {
    title: 'the upper layer of /var has room',
    means:
      'Bytes and inodes in use are below USAGE_WARN (a warning) and USAGE_FAIL (a failure) of what the tmpfs may take.',
    why: 'When it is full, nothing can write to /var: logs stop, services fail. It only empties when files are removed or the guest reboots.',
    fix: 'Find what grows with `du -xh /run/var/upper | sort -h | tail`; make it write less or elsewhere, or raise VAR_SIZE or VAR_INODES in /etc/immutafs/immutafs.conf and reboot.',
  },
  evaluate: ({ config, varUsage, largestFiles }) => {
    const usage = unwrap(varUsage);
    if (usage === undefined) {
      return { status: 'skip', subject: '/var', expected: '', observed: 'no overlay', remedy: '' };
    }
    const bytes = percent(usage.usedBytes, usage.sizeBytes);
    const inodes = percent(usage.inodesUsed, usage.inodes);
    const worst = Math.max(bytes, inodes);
    const warn = parseInt(config.USAGE_WARN, 10);
    const fail = parseInt(config.USAGE_FAIL, 10);
    const largest = 'value' in largestFiles ? largestFiles.value : [];
    const most = largest.map((each) => `${each.path} ${formatBytes(each.bytes)} in ${each.inodes} inodes`);
    const said = `${bytes}% of ${formatBytes(usage.sizeBytes)}, ${inodes}% of ${usage.inodes} inodes`;
    const observed = most.length === 0 ? said : `${said}; most: ${most.join(', ')}`;
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
