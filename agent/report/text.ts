import type { Finding, Status } from '../checks/check.ts';
import { kernelView } from '../checks/guest.ts';
import { describeForecast } from '../checks/var.ts';
import type { Disk } from '../facts/disks/disks.ts';
import type { ForwardSource } from '../facts/forwarder.ts';
import { type LayoutOptions, type Line, type Style, layOut, usedColumns } from './layout.ts';
import { formatAge, formatBytes, shortList } from '../lib/format.ts';
import { headline } from './headline.ts';
import type { Report } from './report.ts';

interface View extends LayoutOptions {
  /** Whether to show every check, disk and mount, or only those that need attention, which fit 24 lines. */
  all: boolean;
}

/** Formats the report for a terminal: verdict; state of disks, /var and logs; checks; remaining attack surface. */
export function formatText(report: Report, view: View): string {
  const lines: Line[] = [
    { label: '', text: systemOf(report), textStyle: 'dim' },
    ...imageLines(report),
    blank,
    ...verdictLines(report),
    blank,
    ...(view.all ? report.disks.map(diskWithEvidence) : shortDiskLines(report.disks)),
    ...varLines(report),
    ...overlayLines(report),
    ...dataLines(report, view.all),
    logLine(report),
    ...bootLines(report, view.all ? Infinity : shownProblems),
    blank,
    ...(view.all ? allCheckLines(report) : attentionLines(report)),
    ...(view.all ? programLines(report) : []),
    ...(view.all ? footholdLines(report) : shortFootholdLines(report, view.columns)),
  ];
  return layOut(lines, view);
}

export const blank: Line = { label: '', text: '' };

/** Limit for the boot errors, and for the boot warnings, in the short view. */
const shownProblems = 3;

function labelled(label: string, width: number, text: string): Line {
  return { label: '  ', gap: `${label.padEnd(width)}  `, text };
}

export function systemOf({ agent, host }: Report): string {
  return `immutafs-agent ${agent.version} on ${host.name}: ${host.os}, Linux ${host.kernel}`;
}

/** Returns a line with the image of this guest, and what is wrong with the file that names it. */
function imageLines({ image, imageWarnings }: Report): Line[] {
  const name = image === null ? [] : [`Image ${image.name} ${image.version}, built at ${image.built}`];
  return [
    ...name.map((text): Line => ({ label: '', text, textStyle: 'dim' })),
    ...imageWarnings
      .slice(0, shownProblems)
      .map((text): Line => ({ label: 'Warning:', gap: ' ', text, labelStyle: ['yellow'] })),
  ];
}

export function verdictLines(report: Report): Line[] {
  const { word, color, sentence, steps } = headline(report);
  return [
    { label: `  ${word}:`, gap: ' ', text: sentence, labelStyle: [color, 'bold'] },
    { label: '  ', text: `Mode ${report.mode}: ${report.reason}.`, textStyle: 'dim' },
    ...steps.map(({ label, text }) => labelled(`${label}:`, 8, text)),
  ];
}

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
    ...(more > 0 ? [labelled('', nameWidth, `and ${more} more (--all lists all disks)`)] : []),
  ];
}

function mountPoints(holds: readonly string[], shown: number): string {
  return holds.length === 0 ? '' : `; mounted at ${shortList(holds, ' ', shown)}`;
}

function stateOf({ readOnly, hostReadOnly }: Disk): string {
  if (hostReadOnly === true) return 'read-only, enforced by the host';
  if (!readOnly) return 'writable';
  return hostReadOnly === false
    ? 'read-only flag set in the guest only'
    : 'read-only; enforcement by the host unknown';
}

function varLines({ var: layer }: Report): Line[] {
  if (!layer.overlay || layer.sizeBytes === null) return [];
  const used = layer.usedBytes ?? 0;
  const free = formatBytes(Math.max(0, layer.sizeBytes - used));
  const by = { initramfs: 'the initramfs', late: 'late boot', none: 'another program' }[layer.assembledBy];
  const bytes = `${formatBytes(used)} of ${formatBytes(layer.sizeBytes)} used (${free} free)`;
  const inodes = `${layer.inodesUsed ?? 0} of ${layer.inodes ?? 0} inodes used`;
  const full = layer.forecast === null ? '' : `; ${describeForecast(layer.forecast)}`;
  return [labelled('/var', nameWidth, `overlay in RAM, assembled by ${by}: ${bytes}; ${inodes}${full}`)];
}

/** Returns a line with the paths of OVERLAY that are writable. overlay-paths reports the others. */
function overlayLines({ overlays }: Report): Line[] {
  const targets = overlays.filter(({ state }) => state === 'overlay').map(({ target }) => target);
  return targets.length === 0
    ? []
    : [labelled('also', nameWidth, `overlays in RAM: ${shortList(targets, ' ', 8)}`)];
}

/** The rules by which an administrator has declared a mount as data; the others are of no interest in the short view. */
const declared = ['DATA', 'fstab-data', 'bound-data', 'persist', 'automounted-data'];

/** Returns a line with the mounts that are data by declaration, and those from which programs may run. */
function dataLines({ data, mode }: Report, all: boolean): Line[] {
  const listed = data.filter(({ rule }) => all || declared.includes(rule));
  if (mode !== 'sealed' || listed.length === 0) return [];
  const texts = listed.map(
    ({ target, rule, executable }) => `${target} (${rule}${executable ? ', executable' : ''})`,
  );
  const shown = all ? texts.length : 4;
  return [labelled('data', nameWidth, `writable and kept: ${shortList([...new Set(texts)], ', ', shown)}`)];
}

function logLine({ forward, checks }: Report): Line {
  const finding = checks.find(({ id }) => id === 'forward-healthy');
  if (forward === null) return labelled('logs', nameWidth, finding?.observed ?? 'forwarding not examined');
  const { target, state, lag, error } = forward;
  const behind = lag.entries === null ? [] : [`${lag.entries} entries not acknowledged`];
  const lost = forward.lost === 0 ? [] : [`${forward.lost} entries lost`];
  const why = error === '' ? [] : [error];
  const lostFiles = forward.lostFiles === 0 ? [] : [`${forward.lostFiles} log files lost`];
  const files = [...describeSources(forward.sources), ...lostFiles];
  return labelled(
    'logs',
    nameWidth,
    [`${target}: ${state}`, ...behind, ...lost, ...files, ...why].join(', '),
  );
}

function describeSources(sources: readonly ForwardSource[]): string[] {
  if (sources.length === 0) return [];
  const lost = sources.reduce((sum, { lostBytes }) => sum + lostBytes, 0);
  const unreadable = sources.filter(({ error }) => error !== '').length;
  const [first] = sources;
  const name = sources.length === 1 && first ? first.path : `${sources.length} log files`;
  return [
    `and ${name}`,
    ...(unreadable === 0 ? [] : [`${unreadable} of them unreadable`]),
    ...(lost === 0 ? [] : [`${formatBytes(lost)} of log files lost`]),
  ];
}

/** Returns the lines that name the values recorded at boot, with the errors and warnings of the boot. */
function bootLines({ boot }: Report, shown: number): Line[] {
  if (boot === null) return [];
  const more = Math.max(0, boot.errors.length - shown) + Math.max(0, boot.warnings.length - shown);
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
    ...boot.errors.slice(0, shown).map((text) => problem('boot error', 'red', text)),
    ...boot.warnings.slice(0, shown).map((text) => problem('boot warning', 'yellow', text)),
    ...(more > 0 ? [{ label: '  ', text: `and ${more} more (--all lists them)` }] : []),
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
    statusLine(finding.status, `  ${finding.id.padEnd(width)}  `, observation(finding)),
    ...stepLines(finding, 11 + width, true),
  ]);
  return [...lines, blank, { label: '  ', text: counts(checks) }];
}

function attentionLines({ checks }: Report): Line[] {
  const attention = checks.filter((finding) => needsAttention(finding) || isIncomplete(finding));
  const order: readonly Status[] = ['fail', 'error', 'warn', 'skip'];
  const lines = order
    .flatMap((status) => attention.filter((finding) => finding.status === status))
    .flatMap((finding) => [
      statusLine(finding.status, '  ', `${finding.id}: ${observation(finding)}`),
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

/**
 * Whether a finding shows that the agent, which does not run as root, could not verify that it sees the guest itself.
 */
function isIncomplete({ id, status }: Finding): boolean {
  return id === kernelView.id && status === 'skip';
}

function observation({ subject, observed }: Finding): string {
  return subject === '' ? observed : `${subject}: ${observed}`;
}

export function statusLine(status: Status, gap: string, text: string): Line {
  const { word, style } = shownStatus[status];
  return { label: `  ${word.padEnd(5)}`, gap, hang: 2, text, labelStyle: [style] };
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

/** Returns the footholds in mode `sealed`. In other modes nearly every mount is a foothold, so the result is empty. */
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

/** Returns two lines for any number of mounts: their counts, and as many mount points as fit in the line. */
function shortFootholdLines(report: Report, columns = 80): Line[] {
  const footholds = surfaceOf(report);
  if (footholds.length === 0) return [];
  const executable = footholds.filter((each) => each.executable).length;
  const persistent = footholds.filter((each) => each.persistent).length;
  const room = usedColumns(columns) - 4 - ' and 99999 more (--all)'.length;
  const targets = footholds.map(({ target }) =>
    target.length > room ? `${target.slice(0, room - 1)}…` : target,
  );
  const fitting = targets.findIndex((_, index) => targets.slice(0, index + 1).join(' ').length > room);
  const shown = shortList(targets, ' ', fitting < 0 ? targets.length : Math.max(1, fitting));
  return [
    blank,
    {
      label: '  ',
      text: `Remaining attack surface (writable mounts): ${executable} executable, ${persistent} persistent`,
    },
    { label: '    ', text: `${shown} (--all)` },
  ];
}

const shown = 20;

/** Returns the lines that describe the programs that did not come from the sealed disk; empty if there are none. */
export function programLines({ programs }: Report): Line[] {
  if (programs === null || programs.count === 0) return [];
  const listed = programs.list.slice(0, shown);
  const more = programs.count - listed.length;
  return [
    { label: '', text: '' },
    { label: '  ', text: 'Programs that did not come from the sealed disk:' },
    ...listed.map(({ pid, user, unit, command, startedAt, path, reason, otherFiles }): Line => {
      const facts = [
        `${path}: ${reason}`,
        ...(otherFiles === 0 ? [] : [`and ${otherFiles} more files`]),
        ...(user === '' ? [] : [`user ${user}`]),
        ...(unit === '' ? [] : [unit]),
        ...(startedAt === null ? [] : [`started ${startedAt.slice(0, 19).replace('T', ' ')} UTC`]),
        ...(command === '' ? [] : [command]),
      ];
      return { label: `    ${String(pid)}`, gap: '  ', text: facts.join('; ') };
    }),
    ...(more > 0 ? [{ label: '    ', text: `and ${more} more (--json lists up to 100)` }] : []),
  ];
}
