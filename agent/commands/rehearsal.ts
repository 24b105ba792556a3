import { SystemError, UsageError } from '../lib/errors.ts';
import { clean, decodeBytes } from '../lib/format.ts';
import { readBootEnv } from '../facts/boot/boot-env.ts';
import { observe } from '../facts/observed.ts';
import { lockFile } from '../prepare/engine/action-log.ts';
import type { Plan } from '../prepare/engine/plan.ts';
import { hasTasks, readMoves } from '../prepare/move/record.ts';
import { type Request, endedByCommandFile, readRequest, requestFile } from '../prepare/rehearsal/record.ts';
import { Recorder } from '../prepare/rehearsal/recorder.ts';
import { obstacle, requestRehearsal, requiredSteps, withdrawRequest } from '../prepare/rehearsal/request.ts';
import { type Log, openJournal, priority } from '../system/log.ts';
import type { SystemReader } from '../system/reader.ts';
import type { SystemWriter } from '../system/writer.ts';
import type { Output } from './output.ts';

const defaultLimit = '30m';
/** In seconds. A boot takes most of a minute; the boot accepts six digits. */
const limits = { least: 60, most: 7 * 24 * 3600 };
const units: Record<string, number> = { s: 1, m: 60, min: 60, h: 3600 };

/** Parses --limit: 90s, 30m, 2h. @returns seconds @throws UsageError */
export function parseLimit(text = defaultLimit): number {
  const [, number = '', unit = ''] = /^([1-9]\d{0,5})(s|m|min|h)$/.exec(text) ?? [];
  const seconds = Number(number) * (units[unit] ?? NaN);
  if (seconds >= limits.least && seconds <= limits.most) return seconds;
  throw new UsageError(`--limit takes a duration from 60s to 168h, such as 90s, 30m or 2h, not ${text}`);
}

/** `prepare --rehearse`: makes the next boot a rehearsal. @param plan of all steps @returns the exit code */
export async function requestCommand(
  reader: SystemReader,
  writer: SystemWriter,
  output: Output,
  plan: Plan,
  { limit, discardState = false }: { limit?: string; discardState?: boolean },
): Promise<number> {
  const seconds = parseLimit(limit);
  const say = (text: string) => output.stdout(`${clean(decodeBytes(text))}\n`);
  const reason = obstacle(reader, plan, discardState);
  if (reason !== undefined) {
    say(reason);
    return 1;
  }
  const unlock = writer.lock(lockFile);
  try {
    const { baseline } = await requestRehearsal(reader, writer, seconds);
    const failed =
      baseline.failed.length === 0 ? 'no unit has failed' : `failed: ${baseline.failed.join(' ')}`;
    say(`Recorded the present boot for comparison (${failed}).`);
  } finally {
    unlock();
  }
  const open = plan.steps.filter(({ id, state }) => state !== 'done' && !requiredSteps.includes(id));
  if (open.length > 0)
    say(
      `These steps are not done, and may cause problems in the rehearsal: ${open.map(({ id }) => id).join(', ')}.`,
    );
  const isAfterMove = hasTasks(readMoves(reader));
  say(
    `The ${isAfterMove ? 'boot after the one that moves data' : 'next boot'} is a rehearsal, if ${isAfterMove ? 'everything was moved, ' : ''}it begins within a day and the host leaves the disk writable. ${limit ?? defaultLimit} after its start the guest reboots into maintenance mode; a reset has the same effect. What is written to /var during the rehearsal is lost when it ends. Reboot now: systemctl reboot`,
  );
  return 0;
}

/** `prepare --end-rehearsal`: withdraws the request, or reboots if this boot is the rehearsal. @returns the exit code */
export async function endCommand(
  reader: SystemReader,
  writer: SystemWriter,
  output: Output,
): Promise<number> {
  const { uid } = reader.environment();
  if (uid !== 0) throw new SystemError('prepare must be run by root');
  if (limitOfThisBoot(reader) !== undefined) {
    writer.writeAtomically(endedByCommandFile, '', 0o600);
    const { exit, stderr } = await writer.run('/usr/bin/systemctl', ['--no-block', 'reboot'], 60);
    if (exit !== 0) throw new SystemError(`systemctl reboot failed: ${stderr.trim()}`);
    output.stdout('The rehearsal ends: the guest reboots into maintenance mode.\n');
    return 0;
  }
  const unlock = writer.lock(lockFile);
  try {
    if (withdrawRequest(reader, writer)) {
      output.stdout('The request is withdrawn: the next boot is an ordinary one.\n');
      return 0;
    }
    output.stdout('There is no rehearsal to end.\n');
    return 1;
  } finally {
    unlock();
  }
}

/** `record-rehearsal`: runs the recorder until SIGTERM (immutafs-rehearsal.service). @returns the exit code */
export async function recordCommand(reader: SystemReader, writer: SystemWriter): Promise<number> {
  const limitSeconds = limitOfThisBoot(reader);
  if (limitSeconds === undefined) throw new UsageError('this boot is not a rehearsal');
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());
  const log = await openJournal();
  await new Recorder(reader, writer, requestOf(reader, limitSeconds, log), log).run(stop.signal);
  return 0;
}

/** Reads the request. Without it, the rehearsal is recorded too, and everything that fails is reported. */
function requestOf(reader: SystemReader, limitSeconds: number, log: Log): Request {
  const found = observe(() => readRequest(reader));
  if ('value' in found && found.value !== undefined) return { ...found.value, limitSeconds };
  const reason = 'error' in found ? found.error : `${requestFile} does not exist`;
  log(priority.warning, `The rehearsal is not compared with the boot before it: ${reason}`, {});
  return {
    ...{ schema: 1, id: '', requestedAt: reader.now().toISOString(), bootId: '', limitSeconds },
    baseline: { failed: [], skipped: [], refused: [] },
  };
}

function limitOfThisBoot(reader: SystemReader): number | undefined {
  const boot = readBootEnv(reader);
  return boot?.mode === 'sealed' ? boot.rehearsal?.limitSeconds : undefined;
}
