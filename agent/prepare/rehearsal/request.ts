import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { SystemError } from '../../lib/errors.ts';
import { formatBytes, shortList } from '../../lib/format.ts';
import { requireConfig } from '../../config/config.ts';
import { parseKernelArgument } from '../../facts/boot/kernel-arguments.ts';
import { readIdentity } from '../../facts/identity.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { SystemWriter } from '../../system/writer.ts';
import type { Tools } from '../engine/context.ts';
import type { Plan } from '../engine/plan.ts';
import type { Step, StepId } from '../engine/step.ts';
import { hasTasks, planTasks, readMoves } from '../move/record.ts';
import { JournalWatch } from './journal-watch.ts';
import {
  type Request,
  type Baseline,
  markerFile,
  rehearsalFolder,
  requestFile,
  savedReportFile,
} from './record.ts';
import { folderFinder } from './refused-writes.ts';
import { readUnits } from './units.ts';

/** Without these steps, the next boot cannot be sealed: the hook is missing, or systemd remounts / read-write. */
export const requiredSteps: readonly StepId[] = ['fstab', 'initramfs'];

/**
 * Returns the reason why the next boot cannot be a rehearsal; undefined if it can.
 * @param plan of all steps
 * @param discardsState whether an administrator permits that the rehearsal loses undecided state
 */
export function obstacle(reader: SystemReader, plan: Plan, discardsState: boolean): string | undefined {
  if (plan.refused !== null) return plan.refused;
  const open = plan.steps.filter(({ id, state }) => requiredSteps.includes(id) && state !== 'done');
  if (open.length > 0) {
    const ids = open.map(({ id }) => id).join(' ');
    return `The next boot cannot be sealed yet. First run: immutafs-agent prepare --apply --only ${ids}`;
  }
  const undecided = plan.steps.filter(
    ({ id, state }) => id === 'state' && state !== 'done' && state !== 'at next boot',
  );
  if (undecided.length > 0 && !discardsState) return describeUndecided(undecided);
  const argument = parseKernelArgument(reader.read('/proc/cmdline')).mode;
  const { MODE } = requireConfig(reader);
  if ((argument ?? MODE) === 'auto') return undefined;
  const setting =
    argument === undefined
      ? `MODE=${MODE} in /etc/immutafs/immutafs.conf`
      : `immutafs=${argument} on the kernel command line`;
  return `${setting} decides the mode of the next boot: remove it first.`;
}

/** A rehearsal resets /var like every sealed boot, so that what services write during it is lost when it ends. */
function describeUndecided(steps: readonly Step[]): string {
  const findings = steps.flatMap(({ stateFindings = [] }) => stateFindings);
  const names = findings.map(({ name, bytes }) => `${name} (${formatBytes(bytes)})`);
  const lost = names.length === 0 ? 'state that could not be determined' : shortList(names, ', ', 10);
  return `When the rehearsal ends, everything is lost that was written to /var and the paths of OVERLAY during it. Neither kept nor accepted: ${lost}. Decide first (immutafs-agent prepare --only state), or add --discard-state.`;
}

/**
 * Requests that the next boot is a rehearsal, and records the baseline. The marker is created last, so that a power cut
 * leaves either no request or all of it. If the next boot moves data, it creates the marker when everything has succeeded.
 */
export async function requestRehearsal(
  reader: SystemReader,
  writer: SystemWriter,
  limitSeconds: number,
  journal = new JournalWatch(),
): Promise<Request> {
  withdrawRequest(reader, writer);
  const { bootId } = readIdentity(reader);
  const baseline = await readBaseline(reader, bootId, journal);
  const request: Request = {
    ...{ schema: 1, id: randomUUID(), requestedAt: reader.now().toISOString() },
    ...{ bootId, limitSeconds, baseline },
  };
  makeDirectory(reader, writer);
  if (reader.stat(savedReportFile) !== undefined) writer.remove(savedReportFile);
  writer.writeAtomically(requestFile, `${JSON.stringify(request, null, 1)}\n`, 0o600);
  const moves = readMoves(reader);
  if (hasTasks(moves)) planTasks({ reader, writer }, { ...moves, rehearse: limitSeconds });
  else beginRehearsal({ writer }, limitSeconds);
  return request;
}

/** Makes the next boot the rehearsal that was requested. */
export function beginRehearsal({ writer }: Pick<Tools, 'writer'>, limitSeconds: number): void {
  writer.writeAtomically(markerFile, `${limitSeconds}\n`, 0o600);
}

/** Removes the request. @returns false if there was none */
export function withdrawRequest(reader: SystemReader, writer: SystemWriter): boolean {
  const moves = readMoves(reader);
  const isPlanned = moves.rehearse !== null;
  if (isPlanned) planTasks({ reader, writer }, { ...moves, rehearse: null });
  const isMarked = reader.stat(markerFile) !== undefined;
  if (!isPlanned && !isMarked) return false;
  if (isMarked) writer.remove(markerFile);
  if (reader.stat(requestFile) !== undefined) writer.remove(requestFile);
  return true;
}

/** The initramfs accepts a request only in a folder that is not a symbolic link. Its mode is that of this call. */
function makeDirectory(reader: SystemReader, writer: SystemWriter): void {
  writer.makeDirectory(path.dirname(rehearsalFolder), 0o755);
  writer.makeDirectory(rehearsalFolder, 0o700);
  for (const folder of [path.dirname(rehearsalFolder), rehearsalFolder]) {
    const stat = reader.stat(folder);
    if (stat?.kind !== 'directory') throw new SystemError(`${folder} is not a directory: remove it`);
  }
  const { uid = -1, mode = 0 } = reader.stat(rehearsalFolder) ?? {};
  if (uid !== 0 || (mode & 0o022) !== 0)
    throw new SystemError(`${rehearsalFolder}: users other than root can write to it: remove it`);
}

/** The time after which the rest of a large journal is left out of the baseline, in milliseconds. */
const journalLimit = 60_000;
/** The time after which a request fails because the states of the units are not known, in milliseconds. */
const unitsLimit = 90_000;

/** Reads the baseline. @throws SystemError if the units cannot be read */
async function readBaseline(reader: SystemReader, bootId: string, journal: JournalWatch): Promise<Baseline> {
  const units = await readUnits(reader, unitsLimit);
  await journal.readBoot(bootId.replaceAll('-', ''), journalLimit);
  const folderOf = folderFinder(reader);
  const refused = journal.refusals.map(({ unit, path: file }) => refusalKey(unit, file, folderOf));
  return { failed: [...units.failed.keys()], skipped: [...units.skipped], refused: [...new Set(refused)] };
}

export function refusalKey(
  unit: string,
  filePath: string | null,
  folderOf: (path: string) => string,
): string {
  return `${unit} ${filePath === null ? '' : folderOf(filePath)}`;
}
