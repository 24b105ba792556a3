import type { Finding } from '../checks/check.ts';
import { clean } from '../lib/format.ts';
import { headline } from './headline.ts';
import type { Report, Verdict } from './report.ts';

/** The states of a monitoring plug-in with their exit codes (Monitoring Plugins Development Guidelines). */
export const nagiosCodes = { OK: 0, WARNING: 1, CRITICAL: 2, UNKNOWN: 3 } as const;
type NagiosState = keyof typeof nagiosCodes;

/** The size limit of the output, in bytes including the line feed: Nagios reads no more than 4 KB. */
const limitBytes = 4096;

/**
 * Returns the state for a report. A guest that is intentionally not sealed (maintenance, rehearsal, off, unenforced) is a WARNING,
 * because the monitoring system knows whether a downtime is scheduled. So is a sealed guest with a required check that
 * warns, such as a nearly full /var. Advisory checks do not count: some of them warn permanently on an ordinary guest.
 */
export function nagiosState({ verdict, checks }: Report): NagiosState {
  const warns = checks.some(({ severity, status }) => severity === 'required' && status === 'warn');
  const states: Record<Verdict, NagiosState> = {
    sealed: warns ? 'WARNING' : 'OK',
    unenforced: 'WARNING',
    rehearsal: 'WARNING',
    maintenance: 'WARNING',
    off: 'WARNING',
    failed: 'CRITICAL',
    unknown: 'UNKNOWN',
  };
  return states[verdict];
}

/**
 * Formats the report as the output of a monitoring plug-in: one line of at most 4 KB with the state, the verdict, the
 * required checks that did not pass, and the performance data. A long text is cut; the performance data is complete.
 */
export function formatNagios(report: Report): string {
  const { word, sentence } = headline(report);
  const text = [`${word}: ${sentence}`, ...attention(report)].join('; ');
  return line(nagiosState(report), text, perfdata(report));
}

/** Formats an error of the agent, for which there is no report, as the output of a plug-in with the state UNKNOWN. */
export function nagiosError(message: string): string {
  return line('UNKNOWN', message, '');
}

function line(state: NagiosState, text: string, data: string): string {
  const prefix = `IMMUTAFS ${state} - `;
  const suffix = `${data === '' ? '' : ` | ${data}`}\n`;
  // A vertical bar begins the performance data, and a finding may contain any character, such as in the name of a file.
  const plain = clean(text).replaceAll('|', '/');
  return prefix + limit(plain, limitBytes - Buffer.byteLength(prefix + suffix)) + suffix;
}

/** Cuts a text to a number of bytes, between two characters. */
function limit(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  const mark = '...';
  let cut = '';
  let size = mark.length;
  for (const character of text) {
    size += Buffer.byteLength(character);
    if (size > bytes) break;
    cut += character;
  }
  return cut + mark;
}

/** Describes the required checks that did not pass, the failed checks first. */
function attention({ checks }: Report): string[] {
  const statuses: readonly Finding['status'][] = ['fail', 'error', 'warn'];
  return statuses.flatMap((wanted) =>
    checks
      .filter(({ severity, status }) => severity === 'required' && status === wanted)
      .map(({ id, status, observed }) => `${id} (${status}): ${observed}`),
  );
}

/** Returns label=value[unit];[warn];[crit];[min];[max] for each value that is known. */
function perfdata({ checks, footholds, impostors, programs, var: layer, forward }: Report): string {
  const count = (wanted: Finding['status']) => checks.filter(({ status }) => status === wanted).length;
  const values: [label: string, value: number | null, unit?: string, most?: number | null][] = [
    ['checks_failed', count('fail')],
    ['checks_error', count('error')],
    ['checks_warning', count('warn')],
    ['footholds', footholds.length],
    ['impostors', new Set(impostors.map(({ device }) => device)).size],
    ['foreign_programs', programs?.count ?? null],
    ['var_used', layer.usedBytes, 'B', layer.sizeBytes],
    ['var_inodes_used', layer.inodesUsed, '', layer.inodes],
    ['var_full_in', layer.forecast?.secondsUntilFull ?? null, 's'],
    ['forward_lag', forward?.lag.seconds ?? null, 's'],
    ['forward_lag_entries', forward?.lag.entries ?? null],
    ['forward_lost', forward?.lost ?? null, 'c'],
  ];
  return values
    .filter(([, value]) => value !== null)
    .map(([label, value, unit = '', most = null]) => `${label}=${value}${unit};;;0;${most ?? ''}`)
    .join(' ');
}
