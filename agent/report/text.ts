import type { Finding, Status } from '../checks/check.ts';
import { clean, formatAge, formatBytes, shortList } from '../lib/format.ts';
import type { Disk } from '../facts/disks/disks.ts';
import { type Paint, type Style, painter } from '../lib/color.ts';
import { maintenanceLines } from './maintenance.ts';
import type { Report, Verdict } from './report.ts';

/** The view for people: the verdict first, then what it stands on, then a line a check and what to do. */
export function formatText(report: Report, color: boolean): string {
  const paint = painter(color);
  const { host, agent } = report;
  return [
    paint(
      'dim',
      `immutafs-agent ${agent.version} on ${clean(host.name)}: ${clean(host.os)}, Linux ${clean(host.kernel)}`,
    ),
    '',
    ...verdictLines(report, paint),
    '',
    ...report.disks.map((disk) => diskLine(disk, paint)),
    ...varLines(report),
    ...bootLines(report, paint),
    '',
    ...report.checks.flatMap((finding) => checkLines(finding, widest(report.checks), paint)),
    ...footholdLines(report, paint),
    '',
    summary(report.checks),
    '',
  ].join('\n');
}

const headline: Record<Verdict, { word: string; color: 'green' | 'red' | 'yellow' }> = {
  sealed: { word: 'SEALED', color: 'green' },
  failed: { word: 'FAILED', color: 'red' },
  unknown: { word: 'UNKNOWN', color: 'red' },
  maintenance: { word: 'MAINTENANCE', color: 'yellow' },
  off: { word: 'OFF', color: 'yellow' },
};

const enforcedBy = {
  host: 'enforced by the host',
  partial: 'enforced by the host on some disks only',
  guest: 'only by the guest itself, which root could undo',
  none: 'nothing keeps the disk read-only',
};

function verdictLines(report: Report, paint: Paint): string[] {
  const { verdict, mode, reason, enforcement, disks } = report;
  const { word, color } = headline[verdict];
  const notMeant = mode === 'sealed' ? '' : `, not sealed by intent`;
  const by = disks.length === 0 ? 'no disk could be looked at' : enforcedBy[enforcement];
  return [
    `  ${paint('bold', paint(color, word))}  ${by}${notMeant}`,
    paint('dim', `  This boot is ${mode === 'sealed' ? 'a sealed one' : mode}: ${clean(reason)}.`),
    ...maintenanceLines(report).map((line) => `  ${clean(line)}`),
  ];
}

function diskLine({ name, bus, readOnly, evidence, holds }: Disk, paint: Paint): string {
  const state = readOnly ? 'read-only' : 'writable';
  return `  ${clean(name).padEnd(6)} ${bus}, ${state}: ${clean(evidence)}; ${paint('dim', clean(shortList(holds)))}`;
}

function varLines({ var: layer }: Report): string[] {
  if (!layer.overlay || layer.sizeBytes === null) return [];
  const bytes = `${formatBytes(layer.usedBytes ?? 0)} of ${formatBytes(layer.sizeBytes)} of RAM`;
  const inodes = `${layer.inodesUsed ?? 0} of ${layer.inodes ?? 0} inodes`;
  const by = { initramfs: 'by the initramfs', late: 'late', none: 'by somebody else' }[layer.assembledBy];
  return [`  /var   an overlay, assembled ${by}: ${bytes}, ${inodes}`];
}

/** What is only as good as the boot's word. */
function bootLines({ boot }: Report, paint: Paint): string[] {
  if (boot === null) return [];
  const who = boot.stage === 'initramfs' ? 'the initramfs' : 'late boot';
  const said = `Mode, reason and who assembled /var are the word of ${who}, ${formatAge(boot.ageSeconds)} ago`;
  return [
    paint('dim', `  ${said}; everything else was looked at now.`),
    ...boot.errors.map((error) => `  ${paint('red', 'error of the boot:')} ${clean(error)}`),
    ...boot.warnings.map((warning) => `  ${paint('yellow', 'warning of the boot:')} ${clean(warning)}`),
  ];
}

const shownFootholds = 20;

/** The attack surface that is left; of a guest that is not meant to be sealed there is no end. */
function footholdLines({ footholds, mode }: Report, paint: Paint): string[] {
  if (mode !== 'sealed' || footholds.length === 0) return [];
  const shown = footholds.slice(0, shownFootholds);
  const width = Math.max(...shown.map(({ target }) => clean(target).length));
  const more = footholds.length - shown.length;
  return [
    '',
    '  What is left to an attacker:',
    ...shown.map(({ target, reason, tighten }) => {
      const advice = paint('dim', `(${clean(tighten)})`);
      return `    ${clean(target).padEnd(width)}  ${clean(reason)} ${advice}`;
    }),
    ...(more > 0 ? [`    and ${more} more (--json has all of them)`] : []),
  ];
}

const shownStatus: Record<Status, { word: string; style: Style }> = {
  pass: { word: 'pass', style: 'green' },
  fail: { word: 'FAIL', style: 'red' },
  warn: { word: 'warn', style: 'yellow' },
  skip: { word: 'skip', style: 'dim' },
  error: { word: 'ERROR', style: 'red' },
};

function checkLines(finding: Finding, width: number, paint: Paint): string[] {
  const { word, style } = shownStatus[finding.status];
  const said = finding.subject === '' ? finding.observed : `${finding.subject}: ${finding.observed}`;
  const lines = [`  ${paint(style, word.padEnd(5))}  ${finding.id.padEnd(width)}  ${clean(said)}`];
  if (finding.status === 'fail' || finding.status === 'warn') {
    const indent = ' '.repeat(9 + width + 2);
    lines.push(`${indent}expected: ${clean(finding.expected)}`);
    if (finding.remedy !== '') lines.push(`${indent}${paint('bold', 'to do:')} ${clean(finding.remedy)}`);
  }
  return lines;
}

function widest(checks: readonly Finding[]): number {
  return Math.max(...checks.map(({ id }) => id.length));
}

function summary(checks: readonly Finding[]): string {
  const count = (status: Status) => checks.filter((finding) => finding.status === status).length;
  const parts = (['pass', 'fail', 'error', 'warn', 'skip'] as const)
    .map((status) => ({ status, n: count(status) }))
    .filter(({ status, n }) => n > 0 || status === 'fail')
    .map(
      ({ status, n }) =>
        `${n} ${{ pass: 'passed', fail: 'failed', error: 'could not tell', warn: 'warned', skip: 'skipped' }[status]}`,
    );
  return `  ${parts.join(', ')}`;
}
