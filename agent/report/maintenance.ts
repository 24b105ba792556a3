import { formatAge } from '../lib/format.ts';
import type { Report } from './report.ts';

/**
 * What is to be known of a guest in maintenance, a line each; empty in any other mode. Nothing is looked at for it:
 * whether the guest is ready is another command's affair.
 */
export function maintenanceLines({ mode, boot }: Report): string[] {
  if (mode !== 'maintenance') return [];
  const since = boot === null ? '' : ` since ${minute(boot.at)}, ${formatAge(boot.ageSeconds)} ago`;
  return [
    `In maintenance${since}: what is written to the disk stays.`,
    'What is left to do before it is sealed: immutafs-agent check --ready-to-seal',
  ];
}

/** What somebody who logs in has to know: maintenance, and required checks that do not pass. Empty: nothing. */
export function loginMessage(report: Report): string {
  const wrong = report.checks
    .filter(({ severity, status }) => severity === 'required' && (status === 'fail' || status === 'error'))
    .map(({ id }) => id);
  const lines = [
    ...maintenanceLines(report),
    ...(wrong.length === 0
      ? []
      : [`Checks that do not pass: ${wrong.join(', ')}. See immutafs-agent status`]),
  ];
  return lines.map((line) => `immutafs-agent: ${line}\n`).join('');
}

/** 2026-03-04T05:06:07.089Z -> 2026-03-04 05:06 UTC */
function minute(at: string): string {
  return `${at.slice(0, 16).replace('T', ' ')} UTC`;
}
