import type { Finding, Status } from '../checks/check.ts';
import type { Disk } from '../facts/disks/disks.ts';
import type { Style } from '../lib/color.ts';
import { formatAge, formatBytes, shortList } from '../lib/format.ts';
import { headline } from './headline.ts';
import { type Line, type LayoutOptions, layOut } from './layout.ts';
import type { Report } from './report.ts';

export interface View extends LayoutOptions {
  /** Every check, disk and mount; otherwise only what needs attention, which fits a terminal of 24 lines. */
  all: boolean;
}

/** The view for people: the verdict, the state of disks, /var and logs, the checks, the remaining attack surface. */
export function formatText(report: Report, view: View): string {
  const lines: Line[] = [
    { label: '', text: systemOf(report), textStyle: 'dim' },
    blank,
    ...verdictLines(report),
    blank,
    ...(view.all ? report.disks.map(diskWithEvidence) : shortDiskLines(report.disks)),
    ...varLines(report),
    logLine(report),
    ...bootLines(report),
    blank,
    ...(view.all ? allCheckLines(report) : attentionLines(report)),
    ...(view.all ? footholdLines(report) : shortFootholdLines(report, view.columns)),
  ];
  return layOut(lines, view);
}

const blank: Line = { label: '', text: '' };

/** @param width the label is padded to this width */
function labelled(label: string, width: number, text: string): Line {
  return { label: '  ', gap: `${label.padEnd(width)}  `, text };
}

function systemOf({ agent, host }: Report): string {
  return `immutafs-agent ${agent.version} on ${host.name}: ${host.os}, Linux ${host.kernel}`;
}

function verdictLines(report: Report): Line[] {
  const { word, color, sentence, steps } = headline(report);
  return [
    { label: `  ${word}:`, gap: ' ', text: sentence, labelStyle: [color, 'bold'] },
    { label: '  ', text: `Mode ${report.mode}: ${report.reason}.`, textStyle: 'dim' },
    ...steps.map(({ label, text }) => labelled(`${label}:`, 8, text)),
  ];
}

/** Width of the names of disks and of the labels below them. */
const nameWidth = 6;

function diskWithEvidence({ name, bus, readOnly, evidence, holds }: Disk): Line {
  const state = readOnly ? 'read-only' : 'writable';
  return labelled(name, nameWidth, `${bus}, ${state}: ${evidence}${mountPoints(holds, 8)}`);
}

const shownDisks = 4;

function shortDiskLines(disks: readonly Disk[]): Line[] {
  const sorted = [...disks].sort(
    (one, other) => Number(other.holds.includes('/')) - Number(one.holds.includes('/')),
  );
  const more = disks.length - shownDisks;
  return [
    ...sorted
      .slice(0, shownDisks)
      .map((disk) => labelled(disk.name, nameWidth, `${stateOf(disk)}${mountPoints(disk.holds, 4)}`)),
    ...(more > 0 ? [labelled('', nameWidth, `and ${more} more disks (--all lists them)`)] : []),
  ];
}

function mountPoints(holds: readonly string[], shown: number): string {
  return holds.length === 0 ? '' : `; mounted at ${shortList(holds, ' ', shown)}`;
}

function stateOf({ readOnly, hostReadOnly }: Disk): string {
  if (hostReadOnly === true) return 'read-only, enforced by the host';
  if (!readOnly) return 'writable';
  return hostReadOnly === false
    ? 'read-only by a flag of the block device only'
    : 'read-only, not known whether the host enforces it';
}

function varLines({ var: layer }: Report): Line[] {
  if (!layer.overlay || layer.sizeBytes === null) return [];
  const used = layer.usedBytes ?? 0;
  const free = formatBytes(Math.max(0, layer.sizeBytes - used));
  const by = { initramfs: 'the initramfs', late: 'late boot', none: 'another program' }[layer.assembledBy];
  const bytes = `${formatBytes(used)} of ${formatBytes(layer.sizeBytes)} used (${free} free)`;
  const inodes = `${layer.inodesUsed ?? 0} of ${layer.inodes ?? 0} inodes used`;
  return [labelled('/var', nameWidth, `overlay in RAM, assembled by ${by}: ${bytes}; ${inodes}`)];
}

function logLine({ forward, checks }: Report): Line {
  const finding = checks.find(({ id }) => id === 'forward-healthy');
  if (forward === null) return labelled('logs', nameWidth, finding?.observed ?? 'forwarding not examined');
  const { target, state, lag, error } = forward;
  const behind = lag.entries === null ? [] : [`${lag.entries} entries not acknowledged`];
  const lost = forward.lost === 0 ? [] : [`${forward.lost} entries lost`];
  const why = error === '' ? [] : [error];
  return labelled('logs', nameWidth, [`${target}: ${state}`, ...behind, ...lost, ...why].join(', '));
}

/** Values that are recorded and not measured, and what went wrong when they were recorded. */
function bootLines({ boot }: Report): Line[] {
  if (boot === null) return [];
  const by = boot.stage === 'initramfs' ? 'the initramfs' : 'late boot';
  const recorded = `Mode, reason and assembly stage: recorded by ${by} ${formatAge(boot.ageSeconds)} ago. All other values: measured now.`;
  const problem = (label: string, style: Style, text: string): Line => ({
    label: `  ${label}:`,
    gap: ' ',
    text,
    labelStyle: [style],
  });
  return [
    { label: '  ', text: recorded, textStyle: 'dim' },
    ...boot.errors.map((text) => problem('boot error', 'red', text)),
    ...boot.warnings.map((text) => problem('boot warning', 'yellow', text)),
  ];
}

const shownStatus: Record<Status, { word: string; style: Style }> = {
  pass: { word: 'pass', style: 'green' },
  fail: { word: 'FAIL', style: 'red' },
  warn: { word: 'warn', style: 'yellow' },
  skip: { word: 'skip', style: 'dim' },
  error: { word: 'ERROR', style: 'red' },
};

function allCheckLines({ checks }: Report): Line[] {
  const width = Math.max(...checks.map(({ id }) => id.length));
  const lines = checks.flatMap((finding) => [
    checkLine(finding, `  ${finding.id.padEnd(width)}  `, observation(finding)),
    ...stepLines(finding, 11 + width, true),
  ]);
  return [...lines, blank, { label: '  ', text: counts(checks) }];
}

function attentionLines({ checks }: Report): Line[] {
  const lines = checks
    .filter(needsAttention)
    .flatMap((finding) => [
      checkLine(finding, '  ', `${finding.id}: ${observation(finding)}`),
      ...stepLines(finding, 9, false),
    ]);
  return [
    { label: '  ', text: `${checks.length} checks: ${counts(checks)} (--all lists them)` },
    ...(lines.length === 0 ? [] : [blank, ...lines]),
  ];
}

function needsAttention({ status }: Finding): boolean {
  return status !== 'pass' && status !== 'skip';
}

function observation({ subject, observed }: Finding): string {
  return subject === '' ? observed : `${subject}: ${observed}`;
}

function checkLine({ status }: Finding, gap: string, text: string): Line {
  const { word, style } = shownStatus[status];
  return { label: `  ${word.padEnd(5)}`, gap, text, labelStyle: [style] };
}

function stepLines(finding: Finding, indent: number, withExpected: boolean): Line[] {
  if (!needsAttention(finding)) return [];
  const { id, status, expected, remedy } = finding;
  const fix = remedy === '' ? `see immutafs-agent status --explain ${id}` : remedy;
  const line = (label: string, text: string, labelStyle: readonly Style[]): Line => ({
    label: `${' '.repeat(indent)}${label}`,
    gap: ' ',
    text,
    labelStyle,
  });
  return [
    ...(withExpected && status !== 'error' ? [line('expected:', expected, [])] : []),
    line('to fix:', fix, ['bold']),
  ];
}

function counts(checks: readonly Finding[]): string {
  const words = { pass: 'passed', fail: 'failed', error: 'not evaluated', warn: 'warned', skip: 'skipped' };
  return (['pass', 'fail', 'error', 'warn', 'skip'] as const)
    .map((status) => ({ status, count: checks.filter((finding) => finding.status === status).length }))
    .filter(({ status, count }) => count > 0 || status === 'fail')
    .map(({ status, count }) => `${count} ${words[status]}`)
    .join(', ');
}

/** Empty unless the mode is `sealed`: otherwise nearly every mount would be listed. */
function surfaceOf({ footholds, mode }: Report): Report['footholds'] {
  return mode === 'sealed' ? footholds : [];
}

const shownFootholds = 20;

function footholdLines(report: Report): Line[] {
  const footholds = surfaceOf(report);
  if (footholds.length === 0) return [];
  const shown = footholds.slice(0, shownFootholds);
  const width = Math.max(...shown.map(({ target }) => target.length));
  const more = footholds.length - shown.length;
  return [
    blank,
    { label: '  ', text: 'Remaining attack surface:' },
    ...shown.map(({ target, reason, tighten }) =>
      labelled(`  ${target}`, width + 2, `${reason}. To reduce it: ${tighten}`),
    ),
    ...(more > 0 ? [labelled('', 0, `and ${more} more (--json lists all of them)`)] : []),
  ];
}

/** Two lines for any number of mounts: the counts, and as many mount points as fit. */
function shortFootholdLines(report: Report, columns = 80): Line[] {
  const footholds = surfaceOf(report);
  if (footholds.length === 0) return [];
  const executable = footholds.filter((each) => each.executable).length;
  const persistent = footholds.filter((each) => each.persistent).length;
  const targets = footholds.map(({ target }) => target);
  const room = columns - 4 - ' and 99999 more (--all)'.length;
  const fitting = targets.findIndex((_, index) => targets.slice(0, index + 1).join(' ').length > room);
  const shown = shortList(targets, ' ', fitting < 0 ? targets.length : fitting);
  return [
    blank,
    {
      label: '  ',
      text: `Remaining attack surface: ${executable} executable, ${persistent} persistent writable mounts`,
    },
    { label: '    ', text: `${shown} (--all)` },
  ];
}
