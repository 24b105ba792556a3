import { errorMessage } from '../../lib/errors.ts';
import { type BootEnv, readBootEnv } from '../../facts/boot/boot-env.ts';
import { readIdentity } from '../../facts/identity.ts';
import type { SystemReader } from '../../system/reader.ts';
import {
  type RehearsalReport,
  type Request,
  currentReportFile,
  markerFile,
  readReport,
  readRequest,
  savedReportFile,
} from './record.ts';

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
export type How = NonNullable<RehearsalReport['endedBy']> | 'power-cut';

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
    return { state: 'running', endsInSeconds, report: currentReport(reader, bootId) };
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

function currentReport(reader: SystemReader, bootId: string): RehearsalReport | null {
  const report = readReport(reader, currentReportFile);
  return report?.bootId === bootId ? report : null;
}
