import type { Forecast } from '../assess/forecast.ts';
import { proposeScratch } from '../assess/scratch-proposal.ts';
import { formatAge, formatBytes } from '../lib/format.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check } from './check.ts';

/** Verifies that the used bytes and inodes of the tmpfs under /var are below USAGE_WARN and USAGE_FAIL. */
export const varUsage: Check = {
  id: 'var-usage',
  severity: 'required',
  seal: true,
  messageId: 'f9c348caf9d54bd1967b9b3d1fd3bfe5',
  documentation: {
    title: 'the upper layer of /var has free space',
    means:
      'The check measures with statfs(2) which percentage of the bytes and of the inodes of the tmpfs is used, which the overlays of OVERLAY share with /var. The check warns if a percentage reaches USAGE_WARN, and fails if a percentage reaches USAGE_FAIL. It also shows when the tmpfs is full at the present rate: the growth of the last ten minutes, half an hour or two hours, whichever is fastest, without the largest single step.',
    why: 'When the tmpfs is full, no program can write to /var or to the paths of OVERLAY: logging stops and services fail. Space becomes free only when files are removed or the guest reboots.',
    fix: 'Find the largest directories with `du -xh /run/var | sort -h | tail`. Make the program write less, put its directory on a disk that is emptied at every reboot (SCRATCH), or increase VAR_SIZE or VAR_INODES in /etc/immutafs/immutafs.conf while the guest is open.',
    page: 'writable-paths.md',
  },
  evaluate: ({ config, varUsage, largestFiles, forecast }) => {
    const usage = unwrap(varUsage);
    if (usage === undefined) {
      return {
        status: 'skip',
        subject: '/var',
        observed: '/var is not an overlay',
      };
    }
    const bytes = percent(usage.usedBytes, usage.sizeBytes);
    const inodes = percent(usage.inodesUsed, usage.inodes);
    const worst = Math.max(bytes, inodes);
    const warn = parseInt(config.USAGE_WARN, 10);
    const fail = parseInt(config.USAGE_FAIL, 10);
    const largest = 'value' in largestFiles ? largestFiles.value : [];
    const consumers = largest.map(
      (each) => `${each.path} ${formatBytes(each.bytes)} in ${each.inodes} inodes`,
    );
    const used = `${bytes}% of ${formatBytes(usage.sizeBytes)}, ${inodes}% of ${usage.inodes} inodes`;
    const usedShare = forecast === undefined ? used : `${used}; ${describeForecast(forecast)}`;
    const observed = consumers.length === 0 ? usedShare : `${usedShare}; largest: ${consumers.join(', ')}`;
    const expected = `less than ${warn}%`;
    const status = worst >= fail ? 'fail' : worst >= warn ? 'warn' : 'pass';
    const paths = largest.map(({ path }) => path);
    const scratch = proposeScratch(config, paths) ?? 'SCRATCH';
    const remedy =
      status === 'pass'
        ? ''
        : `Find the largest directories with \`du -xh /run/var | sort -h | tail\`; make the program write less, put its directory on SCRATCH_DEVICE (${scratch}), or increase VAR_SIZE or VAR_INODES.`;
    return { status, subject: '/var', expected, observed, remedy };
  },
};

/** Describes a forecast: "full in about 3 h at the present rate". */
export function describeForecast({ secondsUntilFull }: Forecast): string {
  return `full in about ${formatAge(secondsUntilFull)} at the present rate`;
}

/** Returns the used percentage, rounded up; 0 for a tmpfs without a limit. */
function percent(used: number, size: number): number {
  return size > 0 ? Math.ceil((used / size) * 100) : 0;
}
