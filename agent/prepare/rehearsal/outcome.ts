import { when } from '../engine/part.ts';
import { errorMessage } from '../../lib/errors.ts';
import { type BootEnv, readBootEnv } from '../../facts/boot/boot-env.ts';
import { readIdentity } from '../../facts/identity.ts';
import type { SystemReader } from '../../system/reader.ts';
import {
  type RehearsalReport,
  type Request,
  type Forecast,
  type Growth,
  type Observation,
  currentReportFile,
  markerFile,
  readReport,
  readRequest,
  savedReportFile,
} from './record.ts';
import { type Paint, painter } from '../../report/layout.ts';
import { clean, formatAge, formatBytes, wrap, minute } from '../../lib/format.ts';

/** The last rehearsal, as seen from this boot. */
export type Outcome =
  /** The next boot is a rehearsal. */
  | { state: 'requested'; limitSeconds: number | null }
  /** A boot since the request was not a rehearsal. The next one may be. */
  | { state: 'not carried out'; reasons: string[] }
  /** This boot is the rehearsal. The report is null until the recorder has written one. */
  | { state: 'running'; endsInSeconds: number; report: RehearsalReport | null }
  | { state: 'ended'; how: How; sealedNow: boolean; report: RehearsalReport }
  /** The rehearsal ended before the recorder saved a report. */
  | { state: 'no report'; sealedNow: boolean }
  | { state: 'unreadable'; error: string };

/** `power-cut`: without a shutdown, so the power was cut, the guest was reset, or the kernel crashed. */
type How = NonNullable<RehearsalReport['endedBy']> | 'power-cut';

/** Returns the outcome of the last rehearsal; null if there was none. */
export function readOutcome(reader: SystemReader): Outcome | null {
  try {
    return outcomeOf(reader);
  } catch (error) {
    // The files are on the disk, where another program may have changed them. They must not prevent `prepare`.
    return { state: 'unreadable', error: errorMessage(error) };
  }
}

function outcomeOf(reader: SystemReader): Outcome | null {
  const { bootId, uptime } = readIdentity(reader);
  const boot = readBootEnv(reader);
  if (boot?.rehearsal !== undefined && boot.mode === 'sealed') {
    const endsInSeconds = Math.max(0, Math.round(boot.rehearsal.limitSeconds - uptime));
    const report = readReport(reader, currentReportFile);
    return { state: 'running', endsInSeconds, report: report?.bootId === bootId ? report : null };
  }
  const request = readRequest(reader);
  if (reader.stat(markerFile) !== undefined) return pending(request, bootId, boot);
  if (request === undefined || request.bootId === bootId) return null;
  const sealedNow = boot?.mode === 'sealed';
  const report = readReport(reader, savedReportFile);
  if (report?.id !== request.id) return { state: 'no report', sealedNow };
  return { state: 'ended', how: report.endedBy ?? 'power-cut', sealedNow, report };
}

function pending(request: Request | undefined, bootId: string, boot: BootEnv | undefined): Outcome {
  if (request?.bootId === bootId) return { state: 'requested', limitSeconds: request.limitSeconds };
  const reasons = (boot?.warnings ?? []).filter((warning) => warning.startsWith('a rehearsal was requested'));
  return { state: 'not carried out', reasons };
}

const columns = 100;
const indent = ' '.repeat(13);
/** Upper bound on the observations of each kind that are not blocking. */
const shownNotes = 10;

/** Formats the outcome of the last rehearsal; empty if there was none. */
export function outcomeText(outcome: Outcome | null, color: boolean): string {
  if (outcome === null) return '';
  return ['', ...linesOf(outcome, painter(color)), ''].join('\n');
}

/** Returns one sentence for `check --ready-to-seal`; undefined if there was no rehearsal. */
export function outcomeSentence(outcome: Outcome | null): string | undefined {
  if (outcome === null) return undefined;
  if (outcome.state !== 'ended') return clean(headOf(outcome));
  const { ready, why, savedAt } = outcome.report;
  return clean(`Rehearsal of ${minute(savedAt)}: ${ready ? 'ready' : `not ready: ${why.join(' ')}`}`);
}

function linesOf(outcome: Outcome, paint: Paint): string[] {
  const head = wrapped(headOf(outcome), '  ');
  if (outcome.state === 'not carried out')
    return [...head, ...outcome.reasons.flatMap((why) => wrapped(why, '    '))];
  if (!('report' in outcome) || outcome.report === null) return head;
  return [...head, ...reportLines(outcome.report, outcome.state === 'running', paint)];
}

const endedBy: Record<How, string> = {
  limit: 'It ended at its time limit',
  command: 'It was ended by `immutafs-agent prepare --end-rehearsal`',
  shutdown: 'It was ended by a shutdown',
  'power-cut': 'It ended without a shutdown (power cut, reset or crash), after the last report',
};

function headOf(outcome: Outcome): string {
  switch (outcome.state) {
    case 'requested': {
      const limit = outcome.limitSeconds === null ? '' : ` for at most ${formatAge(outcome.limitSeconds)}`;
      return `The next boot is a rehearsal${limit}, if the host leaves the disk writable: reboot. To withdraw it: immutafs-agent prepare --end-rehearsal`;
    }
    case 'not carried out':
      return 'A rehearsal was requested, but this boot is not a rehearsal. To withdraw it: immutafs-agent prepare --end-rehearsal';
    case 'running':
      return `This boot is a rehearsal. It ends in ${formatAge(outcome.endsInSeconds)}. To end it now: immutafs-agent prepare --end-rehearsal`;
    case 'ended': {
      const { uptimeSeconds, savedAt } = outcome.report;
      const sealed = outcome.sealedNow ? ' The host has sealed this guest since.' : '';
      return `Rehearsal of ${minute(savedAt)}. ${endedBy[outcome.how]}, ${formatAge(uptimeSeconds)} after the start of the boot.${sealed}`;
    }
    case 'no report':
      return `The last rehearsal left no report: its boot did not come far enough, or the power was cut.${outcome.sealedNow ? ' The host has sealed this guest since.' : ''}`;
    case 'unreadable':
      return `The last rehearsal cannot be shown: ${outcome.error}`;
  }
}

function reportLines(report: RehearsalReport, isRunning: boolean, paint: Paint): string[] {
  const { ready, why, observations, omitted, growth, add, settledSeconds, sources } = report;
  const soFar = isRunning ? ' so far' : '';
  const verdict = ready
    ? `${paint('green', `Ready${soFar}.`)} Nothing failed that works in maintenance mode.`
    : `${paint('red', `Not ready${soFar}:`)} ${why.map(clean).join(' ')}`;
  const complete = when(settledSeconds !== null, `The boot was complete after ${settledSeconds} s.`);
  return [
    `  ${verdict}`,
    ...[...complete, `Refused writes: ${sources.audit}.`].flatMap((text) => wrapped(text, '  ')),
    ...observations.filter(({ blocking }) => blocking).flatMap((each) => observationLines(each, paint)),
    ...noteLines(observations, paint),
    ...when(omitted > 0, `  and ${omitted} more`),
    ...(growth === null ? [] : wrapped(growthText(growth), '  ')),
    ...addLines(add, paint),
  ];
}

function noteLines(observations: readonly Observation[], paint: Paint): string[] {
  const notes = observations.filter(({ blocking }) => !blocking);
  if (notes.length === 0) return [];
  const skipped = notes.filter(({ kind }) => kind === 'skipped').map(({ subject }) => subject);
  const others = notes.filter(({ kind }) => kind !== 'skipped');
  const more = others.length - shownNotes;
  return [
    '  To review:',
    ...others.slice(0, shownNotes).flatMap((each) => observationLines(each, paint)),
    ...when(more > 0, `  and ${more} more (--json lists them)`),
    ...when(
      skipped.length > 0,
      ...wrapped(`skipped, because a condition is not met: ${skipped.join(', ')}`, '    '),
    ),
  ];
}

function observationLines(observation: Observation, paint: Paint): string[] {
  const { kind, blocking, subject, paths, count, messages, remedy } = observation;
  const files = paths.map((file) => JSON.stringify(file).slice(1, -1)).join(', ');
  const times = count > 1 ? ` (${count} times)` : '';
  const head = [subject, files].filter((text) => text !== '').join(': ');
  const word = paint(blocking ? 'red' : 'yellow', kind.padEnd(7));
  const [first = '', ...more] = wrapped(`${head}${times}`, indent);
  return [
    `    ${word}  ${first.slice(indent.length)}`,
    ...more,
    ...messages.flatMap((message) => wrapped(`| ${message}`, indent)),
    ...wrapped(`> ${remedy}`, indent),
  ];
}

function growthText({ seconds, usedBytes, sizeBytes, bytes, largest, forecast }: Growth): string {
  const grown = largest.map((each) => `${each.path} ${formatBytes(each.bytes)}`);
  const most = grown.length === 0 ? '' : `, mostly ${grown.join(', ')}`;
  return `Layers: ${formatBytes(usedBytes)} of ${formatBytes(sizeBytes)} used. In ${formatAge(seconds)} they grew by ${formatBytes(Math.max(0, bytes))}${most}. ${forecastText(forecast)}`;
}

function forecastText(forecast: Forecast): string {
  switch (forecast.full) {
    case 'in':
      return `At this rate, they will be full in ${formatAge(forecast.seconds)}.`;
    case 'not within':
      return `At this rate, they will not be full within ${formatAge(forecast.seconds)}. A longer rehearsal allows a longer forecast.`;
    case 'unknown':
      return 'The rehearsal was too short to predict when they will be full.';
  }
}

function addLines({ overlay, persistInstead }: RehearsalReport['add'], paint: Paint): string[] {
  if (overlay === '') return [];
  return [
    '  Add to /etc/immutafs/immutafs.conf, if the content may be discarded at every reboot:',
    `    ${paint('bold', clean(overlay))}`,
    '  or, if it must be kept on a data disk (PERSIST_STORE):',
    `    ${paint('bold', clean(persistInstead))}`,
  ];
}

function wrapped(text: string, before: string): string[] {
  return wrap(clean(text), columns - before.length).map((line) => `${before}${line}`);
}
