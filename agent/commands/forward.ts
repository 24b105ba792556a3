import { type Config, forwardProblems, readConfig } from '../config/config.ts';
import type { LogFiles } from '../forward/files/log-files.ts';
import { entriesBetween, parseCursor } from '../forward/journal/cursor.ts';
import { describeDiscarded } from '../forward/status/ledger.ts';
import { lastCursor } from '../system/journalctl.ts';
import { mountTable } from '../facts/mounts/mountinfo.ts';
import { openLogFiles } from '../forward/files/open.ts';
import { type StoredCheckpoint, readCheckpoint, storedCheckpoint } from '../forward/pipeline/checkpoint.ts';
import { DurableState, readEarlierState } from '../forward/pipeline/durable-state.ts';
import { forwardFolder } from '../facts/forwarder.ts';
import { Daemon } from '../forward/pipeline/daemon.ts';
import { drain, isShuttingDown } from '../forward/pipeline/drain.ts';
import { RateLimitedLog } from '../forward/status/rate-limited-log.ts';
import { StatusWriter } from '../forward/status/status-writer.ts';
import { type Target, parseTargets } from '../forward/transport/target.ts';
import { verifyTlsFiles } from '../forward/transport/tls.ts';
import { HostError, UsageError, errorMessage } from '../lib/errors.ts';
import { keepHeapSmall } from '../lib/memory.ts';
import { type Clock, systemClock } from '../system/clock.ts';
import { openJournal } from '../system/log.ts';
import type { SystemReader } from '../system/reader.ts';
import type { SystemWriter } from '../system/writer.ts';
import { testForwarding } from './forward-test.ts';
import type { Output } from './output.ts';

export interface ForwardOptions {
  test?: boolean;
}

/** The timeout for the last acknowledgements after a stop. */
const finishMilliseconds = 5000;

/**
 * Runs the daemon of `forward` until SIGTERM or SIGINT. At shutdown, the daemon continues until all other units have
 * stopped. With `--test`, tests the servers instead.
 * @returns the exit code: 0, or the result of the test; the daemon returns immediately if FORWARD is empty
 * @throws UsageError if FORWARD is invalid, if it is unclear from the configuration which servers to trust, or if a TLS
 *   file is not usable
 */
export async function forwardCommand(
  reader: SystemReader,
  loadWriter: () => Promise<SystemWriter>,
  output: Output,
  options: ForwardOptions,
): Promise<number> {
  keepHeapSmall();
  const openLog = async () => new RateLimitedLog(await openJournal(), () => reader.now().getTime());
  const { config, problems } = readConfig(reader);
  const stopping = forwardProblems(problems);
  if (stopping.length > 0) {
    const reason = `${stopping.join('; ')}: fix the configuration, then start immutafs-forward.service again`;
    if (!options.test) (await openLog()).misconfigured(reason);
    throw new UsageError(reason);
  }
  const targets = parseTargets(config.FORWARD);
  const clock = systemClock(reader);
  if (options.test) {
    if (targets.length === 0) throw new UsageError('FORWARD is empty: name a server in immutafs.conf');
    return testForwarding(reader, output, targets, config, clock);
  }
  const log = await openLog();
  if (targets.length === 0) {
    // units/start-forwarder prints the same message.
    log.ended('FORWARD is empty, the journal is lost at the end of this boot');
    return 0;
  }
  const writer = await loadWriter();
  const trouble = (reason: string) => log.trouble(reason);
  const durable = openDurable(reader, writer, config, clock, trouble);
  const start = readPositions(reader, config, clock, trouble);
  const files = openLogFiles(reader, config, start.files, start.trusted, trouble);
  const checkpoint = storedCheckpoint(start.cursor, files, writer, clock.bootId, durable, trouble);
  const status = new StatusWriter(
    reader,
    writer,
    () => checkpoint.cursor,
    () => files.state(),
    trouble,
  );
  const unusable = unusableFile(reader, targets, config);
  if (unusable !== undefined) {
    log.misconfigured(unusable);
    status.set('stopped', targets[0]?.text ?? '', unusable);
    throw new UsageError(unusable);
  }
  const { hostname } = reader.environment();
  const daemon = new Daemon({
    reader,
    targets,
    config,
    clock,
    hostname,
    checkpoint,
    files,
    fromHead: start.fromHead,
    status,
    log,
  });
  const stopped = untilStopped(daemon, () => finish(reader, daemon, files, () => checkpoint.cursor, log));
  await Promise.race([daemon.run(), stopped]);
  daemon.abort();
  checkpoint.save();
  await durable?.flush();
  status.stop();
  return 0;
}

/** Returns the store for positions that outlive this boot; undefined if FORWARD_STATE is in /run. */
function openDurable(
  reader: SystemReader,
  writer: SystemWriter,
  { FORWARD_STATE: folder }: Config,
  { bootId }: Clock,
  trouble: (reason: string) => void,
): DurableState | undefined {
  return folder === forwardFolder
    ? undefined
    : new DurableState(writer, folder, machineId(reader), bootId, trouble);
}

/** Where forwarding begins. */
interface Positions extends StoredCheckpoint {
  /** Whether to begin with the oldest entry of all boots, because no cursor is known. */
  fromHead: boolean;
  /** Whether this boot stored the positions. */
  trusted: boolean;
}

/** Reads the positions that this boot stored or, if there are none, those of an earlier boot in FORWARD_STATE. */
function readPositions(
  reader: SystemReader,
  { FORWARD_STATE: folder }: Config,
  clock: Clock,
  trouble: (reason: string) => void,
): Positions {
  const isDurable = folder !== forwardFolder;
  const { cursor, files, problem } = readCheckpoint(reader, clock.bootId, clock.monotonic(), isDurable);
  if (problem !== undefined)
    trouble(cursor === '' ? `${problem}; starting at this boot's first entry` : problem);
  if (!isDurable || cursor !== '' || files.length > 0)
    return { cursor, files, fromHead: false, trusted: true };
  const earlier = readEarlierState(reader, folder, machineId(reader), clock.realtime());
  if (earlier.problem !== undefined)
    trouble(`FORWARD_STATE: ${earlier.problem}${earlier.fromHead ? '; starting at the oldest entry' : ''}`);
  return { cursor: earlier.cursor, files: earlier.files, fromHead: earlier.fromHead, trusted: false };
}

function machineId(reader: SystemReader): string {
  return reader.read('/etc/machine-id', 4096).trim();
}

/** Returns why a TLS file of the configuration is not usable; undefined if each one is, or if no server needs them. */
function unusableFile(reader: SystemReader, targets: readonly Target[], config: Config): string | undefined {
  if (targets.every(({ carrier }) => carrier !== 'tls')) return undefined;
  try {
    verifyTlsFiles(reader, config);
    return undefined;
  } catch (error) {
    return `${errorMessage(error)}: correct it, then start immutafs-forward.service again`;
  }
}

/**
 * Calls `stop` at the first SIGTERM or SIGINT.
 * @returns a promise that resolves when the timeout for the last acknowledgements has expired
 */
function untilStopped(daemon: Daemon, stop: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    let stopping = false;
    const onSignal = () => {
      if (stopping) return;
      stopping = true;
      stop().then(() => setTimeout(resolve, daemon.connected ? finishMilliseconds : 0).unref(), reject);
    };
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal);
  });
}

async function finish(
  reader: SystemReader,
  daemon: Daemon,
  files: LogFiles,
  cursor: () => string,
  log: RateLimitedLog,
): Promise<void> {
  if (await isShuttingDown(reader)) {
    await drain(reader, {
      cursor,
      acknowledged: () => daemon.counters.acknowledged,
      idle: () => daemon.idle,
      complete: () => files.complete(),
    });
    const discarded = await describeEnd(reader, files, cursor());
    if (discarded !== undefined && !daemon.notify(discarded)) log.discarded(discarded);
  }
  daemon.finish();
}

/** Describes what the end of this boot discards; undefined if /var is not an overlay, so that nothing is discarded. */
async function describeEnd(
  reader: SystemReader,
  files: LogFiles,
  acknowledged: string,
): Promise<string | undefined> {
  const layer = quietly(() => upperLayer(reader));
  if (layer === null) return undefined;
  const last = parseCursor((await lastCursor()) ?? '');
  const entries = last === undefined ? null : entriesBetween(parseCursor(acknowledged), last);
  return describeDiscarded({ entries, files: files.state(), upper: layer });
}

/** Returns the use of the upper layer of /var; null if /var is not an overlay. @throws HostError */
function upperLayer(reader: SystemReader): { inodes: number; bytes: number } | null {
  if (mountTable(reader.read('/proc/self/mountinfo')).serving('/var')?.type !== 'overlay') return null;
  const { inodesUsed: inodes, usedBytes: bytes } = reader.usage('/var');
  return { inodes, bytes };
}

function quietly<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof HostError) return undefined;
    throw error;
  }
}
