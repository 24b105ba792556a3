import type { Baseline } from './baseline.ts';
import type { Growth } from './growth.ts';
import type { Observation } from './observations.ts';

/** The folder of all files on the system disk. Only root can read it and write to it. */
export const rehearsalFolder = '/etc/immutafs/rehearsal';
/** The request, which dracut/rehearsal.sh removes before it seals the boot. It contains the time limit in seconds. */
export const markerFile = `${rehearsalFolder}/requested`;
export const requestFile = `${rehearsalFolder}/request.json`;
/** The report on the disk. units/save-rehearsal writes it from currentReportFile. */
export const savedReportFile = `${rehearsalFolder}/report.json`;
export const currentReportFile = '/run/immutafs/rehearsal.json';
/** Exists if `prepare --end-rehearsal` ended the rehearsal. */
export const endedByCommandFile = '/run/immutafs/rehearsal-ended';

export interface Request {
  schema: 1;
  /** A UUID. A report with a different one belongs to an earlier rehearsal. */
  id: string;
  /** ISO 8601 */
  requestedAt: string;
  /** The boot in which the rehearsal was requested. */
  bootId: string;
  limitSeconds: number;
  baseline: Baseline;
}

/** What the recorder has found. It is saved several times during a rehearsal. */
export interface RehearsalReport {
  schema: 1;
  id: string;
  bootId: string;
  /** ISO 8601 */
  began: string;
  savedAt: string;
  limitSeconds: number;
  /** Seconds from the start of the kernel to `savedAt`. */
  uptimeSeconds: number;
  /** `null` while the rehearsal runs; it stays null if the power is cut. */
  endedBy: 'limit' | 'command' | 'shutdown' | null;
  /** Seconds from the start of the kernel until the boot was complete; null if it was not. */
  settledSeconds: number | null;
  /** Whether the guest works when it is sealed, as far as the rehearsal shows. */
  ready: boolean;
  /** The reasons why the guest is not ready, one sentence each. */
  why: string[];
  observations: Observation[];
  /** The number of further observations that were not kept. */
  omitted: number;
  growth: Growth | null;
  /** Complete lines for immutafs.conf; empty if nothing has to be added. */
  add: { overlay: string; persistInstead: string };
  /** The sources of the refused writes: what was recorded, or why not. */
  sources: { journal: string; audit: string };
}
