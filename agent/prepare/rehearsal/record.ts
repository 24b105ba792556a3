import { rehearsalFolder, rehearsalMarker } from '../../facts/boot/marker-files.ts';
import * as v from 'valibot';
import { parseRecord } from '../../lib/json-record.ts';
import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';

export { currentReportFile, rehearsalFolder, savedReportFile } from '../../facts/boot/marker-files.ts';

/** The request, which boot/rehearsal/rehearsal.ts removes before it seals the boot. It contains the time limit in seconds. */
export const markerFile = rehearsalMarker;
export const requestFile = `${rehearsalFolder}/request.json`;
/** Exists if `prepare --end-rehearsal` ended the rehearsal. */
export const endedByCommandFile = '/run/immutafs/rehearsal-ended';

const number = v.pipe(v.number(), v.finite());
/** ISO 8601 */
const time = v.pipe(
  v.string(),
  v.check((text) => !Number.isNaN(Date.parse(text))),
);

/** The state of the boot in which the rehearsal was requested, with which the rehearsal is compared. */
const baseline = v.object({
  /** The units that had failed. */
  failed: v.array(v.string()),
  /** The units that were skipped because a condition was not met. */
  skipped: v.array(v.string()),
  /** "UNIT FOLDER" of each write that the journal reports as refused. */
  refused: v.array(v.string()),
});
export type Baseline = v.InferOutput<typeof baseline>;

const request = v.object({
  schema: v.literal(1),
  /** A UUID. A report with a different one belongs to an earlier rehearsal. */
  id: v.string(),
  requestedAt: time,
  /** The boot in which the rehearsal was requested. */
  bootId: v.string(),
  limitSeconds: number,
  baseline,
});
export type Request = v.InferOutput<typeof request>;

/** One difference from the boot in which the rehearsal was requested. */
const observation = v.object({
  /**
   * `failed`: a unit failed. `refused`: a program reported that it could not write. `full`: the layers will be full
   * soon. `check`: a required check does not pass. `denied`: the kernel refused a write, and no program reported it.
   * `skipped`: a condition of a unit was not met.
   */
  kind: v.picklist(['failed', 'refused', 'full', 'check', 'denied', 'skipped']),
  /** Whether the guest is not ready to be sealed because of this. */
  blocking: v.boolean(),
  /** The unit, program or check; empty if unknown. */
  subject: v.string(),
  /** The files; the first ones if there are many. */
  paths: v.array(v.string()),
  count: number,
  /** Messages of the unit, or the reason. Any program may have written them. */
  messages: v.array(v.string()),
  remedy: v.string(),
  /** The folder to add to OVERLAY or PERSIST; null if there is none. */
  folder: v.nullable(v.string()),
});
export type Observation = v.InferOutput<typeof observation>;

/** When the layers are full at the measured rate. */
const forecast = v.variant('full', [
  v.object({ full: v.literal('in'), seconds: number }),
  /** Not within this time; a later moment cannot be predicted from so short a measurement. */
  v.object({ full: v.literal('not within'), seconds: number }),
  /** The measurement is too short. */
  v.object({ full: v.literal('unknown') }),
]);
export type Forecast = v.InferOutput<typeof forecast>;

/** The growth of the layers since the boot was complete. */
const growth = v.object({
  seconds: number,
  usedBytes: number,
  sizeBytes: number,
  bytes: number,
  inodes: number,
  /** The growth of the largest folders and files, the largest growth first. */
  largest: v.array(v.object({ path: v.string(), bytes: number, inodes: number })),
  forecast,
});
export type Growth = v.InferOutput<typeof growth>;

/** What the recorder has found. It is saved several times during a rehearsal. */
const report = v.object({
  schema: v.literal(1),
  id: v.string(),
  bootId: v.string(),
  began: time,
  savedAt: time,
  limitSeconds: number,
  /** Seconds from the start of the kernel to `savedAt`. */
  uptimeSeconds: number,
  /** `null` while the rehearsal runs; it stays null if the power is cut. */
  endedBy: v.nullable(v.picklist(['limit', 'command', 'shutdown'])),
  /** Seconds from the start of the kernel until the boot was complete; null if it was not. */
  settledSeconds: v.nullable(number),
  /** Whether the guest works when it is sealed, as far as the rehearsal shows. */
  ready: v.boolean(),
  /** The reasons why the guest is not ready, one sentence each. */
  why: v.array(v.string()),
  observations: v.array(observation),
  /** The number of further observations that were not kept. */
  omitted: number,
  growth: v.nullable(growth),
  /** Complete lines for immutafs.conf; empty if nothing has to be added. */
  add: v.object({ overlay: v.string(), persistInstead: v.string() }),
  /** The sources of the refused writes: what was recorded, or why not. */
  sources: v.object({ journal: v.string(), audit: v.string() }),
});
export type RehearsalReport = v.InferOutput<typeof report>;

/** The maximum size of a file, in bytes. */
const longest = 4 * 1024 * 1024;

/** Reads the request; undefined if there is none. @throws Error for a malformed file; SystemError */
export function readRequest(reader: SystemReader): Request | undefined {
  return read(reader, requestFile, request);
}

/** Reads a report; undefined if there is none. @throws Error for a malformed file; SystemError */
export function readReport(reader: SystemReader, file: string): RehearsalReport | undefined {
  return read(reader, file, report);
}

function read<Schema extends v.GenericSchema>(
  reader: SystemReader,
  file: string,
  schema: Schema,
): v.InferOutput<Schema> | undefined {
  const text = reader.readRecord(file, 'root', longest);
  return text === undefined ? undefined : parseRecord(schema, decodeBytes(text), file);
}
