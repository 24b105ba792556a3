import type { Finding } from '../checks/check.ts';
import { configFile } from '../config/config.ts';
import { kernelView } from '../checks/guest.ts';
import { isUnsupported } from '../facts/disks/disks.ts';
import { isOfPrograms } from '../facts/security/places.ts';
import { formatAge, shortList, minute } from '../lib/format.ts';
import type { Report, Verdict } from './report.ts';

/** The summary of a report: the verdict in one word and one sentence, and the next steps. */
interface Headline {
  word: string;
  color: 'green' | 'red' | 'yellow';
  sentence: string;
  /** The steps that depend on the mode. The remedy of a check is shown with the check. */
  steps: { label: string; text: string }[];
}

const words: Record<Verdict, Pick<Headline, 'word' | 'color'>> = {
  sealed: { word: 'SEALED', color: 'green' },
  unenforced: { word: 'UNENFORCED', color: 'yellow' },
  rehearsal: { word: 'REHEARSAL', color: 'yellow' },
  failed: { word: 'FAILED', color: 'red' },
  unknown: { word: 'UNKNOWN', color: 'red' },
  maintenance: { word: 'MAINTENANCE', color: 'yellow' },
  off: { word: 'OFF', color: 'yellow' },
};

export function headline(report: Report): Headline {
  return { ...words[report.verdict], sentence: sentenceOf(report), steps: stepsOf(report) };
}

function sentenceOf(report: Report): string {
  const failing = idsWith(report, ['fail']);
  const unknown = idsWith(report, ['error']);
  return {
    sealed: enforcementClause(report),
    unenforced: `not sealed by the host; ${enforcementClause(report)}`,
    rehearsal: enforcementClause(report),
    failed: `${failing}; ${enforcementClause(report)}`,
    unknown: `could not evaluate ${unknown}${isOfThisGuest(report) ? `; ${enforcementClause(report)}` : ''}`,
    maintenance: enforcementClause(report),
    off: `immutafs is switched off; this guest is not sealed; ${enforcementClause(report)}`,
  }[report.verdict];
}

function enforcementClause({ disks, enforcement, mode }: Report): string {
  if (disks.length === 0) return 'no disk could be examined';
  if (mode !== 'sealed' && enforcement !== 'host' && enforcement !== 'partial') {
    return 'the host left the system disk writable';
  }
  return {
    host: 'the host enforces read-only',
    partial: 'the host enforces read-only on some system disks only',
    guest: 'only the guest enforces read-only, which root in the guest can undo',
    none: 'nothing enforces read-only',
  }[enforcement];
}

function stepsOf(report: Report): Headline['steps'] {
  if (report.rehearsal !== null) return rehearsalSteps(report.rehearsal);
  if (report.mode === 'off') return [{ label: 'To seal', text: sealFromOff }];
  if (report.mode !== 'maintenance') return [];
  const blocking = idsWith(report, ['fail', 'error']);
  const fix = blocking === '' ? '' : `Fix the failed checks: ${blocking}. `;
  return [
    { label: 'Since', text: `${sinceClause(report)}; ${persistence}` },
    { label: 'To do', text: `${fix}List the remaining steps: ${readinessCommand}` },
    {
      label: 'To seal',
      text: `Shut this guest down, make its system disks read-only in the host${sealCommands(report)}, and start it.`,
    },
  ];
}

/** Shown with every verdict of a rehearsal, because only the headline says that the verdict is `rehearsal`. */
function rehearsalSteps({ endsAt }: NonNullable<Report['rehearsal']>): Headline['steps'] {
  return [
    { label: 'Ends', text: `${minute(endsAt)}, by a reboot into maintenance mode; ${endRehearsal}` },
    { label: 'Result', text: 'immutafs-agent prepare' },
  ];
}

const endRehearsal = 'to end it now: immutafs-agent prepare --end-rehearsal';
const persistence = 'changes to the system disk persist';
const readinessCommand = 'immutafs-agent check --ready-to-seal';
const sealFromOff = `While the disk is writable, remove immutafs=off from the kernel command line and MODE=off from ${configFile}; reboot; then run: ${readinessCommand}`;

function sealCommands({ disks, data }: Report): string {
  const kept = new Set(data.map(({ target }) => target));
  const writable = disks.filter(
    ({ holds, hostReadOnly }) =>
      hostReadOnly !== true && holds.some((target) => isOfPrograms(target) && !kept.has(target)),
  );
  const commands = writable.map((disk) =>
    isUnsupported(disk)
      ? `move ${disk.name} from ${disk.bus} to virtio-scsi first, because disks on ${disk.bus} are not supported`
      : `virt-xml DOMAIN --edit target=${disk.name} --disk readonly=on`,
  );
  return commands.length === 0 ? '' : ` (${shortList(commands, '; ', 4)})`;
}

/** Whether the agent sees this guest itself, and not only the system in its namespace. */
function isOfThisGuest({ checks }: Report): boolean {
  return !checks.some(({ id, status }) => id === kernelView.id && status === 'error');
}

function idsWith({ checks }: Report, statuses: readonly Finding['status'][]): string {
  return checks
    .filter(({ severity, status }) => severity === 'required' && statuses.includes(status))
    .map(({ id }) => id)
    .join(', ');
}

/**
 * Returns the message for an interactive login, which reports maintenance mode and required checks that do not pass;
 * empty if there is nothing to report.
 */
export function loginMessage(report: Report): string {
  const failing = idsWith(report, ['fail', 'error']);
  const lines = [
    ...(report.rehearsal === null
      ? []
      : [
          `Rehearsal of a sealed boot, which this guest alone enforces. It ends by a reboot at ${minute(report.rehearsal.endsAt)}.`,
          `Result so far: immutafs-agent prepare; ${endRehearsal}`,
        ]),
    ...(report.mode === 'maintenance'
      ? [
          `Maintenance since ${sinceClause(report)}: ${persistence}.`,
          `List the steps that remain before sealing: ${readinessCommand}`,
        ]
      : []),
    ...(failing === '' ? [] : [`Checks that do not pass: ${failing}. Details: immutafs-agent status`]),
  ];
  return lines.map((line) => `immutafs-agent: ${line}\n`).join('');
}

function sinceClause({ boot }: Report): string {
  return boot === null ? 'the start of this boot' : `${minute(boot.at)} (${formatAge(boot.ageSeconds)} ago)`;
}
