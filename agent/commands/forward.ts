import { type Config, configFile, formatLine, forwardProblems, readConfig, words } from '../config/config.ts';
import { auditLogFile } from '../facts/security/audit.ts';
import { earliestBootTime } from '../forward/files/boot-time.ts';
import { LogFiles } from '../forward/files/log-files.ts';
import { isOfThisBoot, sealedBytes } from '../forward/files/sealed-bytes.ts';
import { Checkpoint } from '../forward/pipeline/checkpoint.ts';
import { CheckpointStore, readStart } from '../forward/pipeline/checkpoint-store.ts';
import { Daemon } from '../forward/pipeline/daemon.ts';
import { drain, isShuttingDown } from '../forward/pipeline/drain.ts';
import { describeEnd } from '../forward/status/end-of-boot.ts';
import { RateLimitedLog } from '../forward/status/rate-limited-log.ts';
import { StatusWriter } from '../forward/status/status-writer.ts';
import { type Target, parseTargets } from '../config/forward-target.ts';
import { verifyTlsFiles } from '../forward/transport/tls.ts';
import { UsageError, errorMessage } from '../lib/errors.ts';
import { keepHeapSmall } from '../lib/memory.ts';
import { systemClock } from '../system/clock.ts';
import { openJournal } from '../system/log.ts';
import type { SystemReader } from '../system/reader.ts';
import type { SystemWriter } from '../system/writer.ts';
import { testForwarding } from './forward-test.ts';
import type { Output } from './output.ts';

/** The options of `forward`. */
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
    const reason = `${configFile}: ${stopping.map(formatLine).join('; ')}: fix the configuration, then start immutafs-forward.service again`;
    if (!options.test) (await openLog()).log('misconfigured', reason);
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
    // boot/root/commands.ts prints the same message.
    log.log('ended', 'FORWARD is empty, the journal is lost at the end of this boot');
    return 0;
  }
  const writer = await loadWriter();
  const trouble = (reason: string) => log.log('trouble', reason);
  const { FORWARD_STATE: directory, FORWARD_FILES } = config;
  const start = readStart(reader, directory, clock, trouble);
  const store = new CheckpointStore({ reader, writer, directory, bootId: clock.bootId, trouble }, start);
  const files = new LogFiles({
    ...{ patterns: words(FORWARD_FILES), auditFile: auditLogFile(reader), trouble },
    ...{ records: start.files, trusted: start.trusted },
    firstOffset: (log, file) => sealedBytes(reader, log, file),
    isOfThisBoot: (log, file) => isOfThisBoot(reader, log, file),
    booted: earliestBootTime(reader),
  });
  const checkpoint = new Checkpoint(start.cursor, files, (acknowledged) => store.save(acknowledged));
  const status = new StatusWriter({
    ...{ reader, writer, trouble },
    cursor: () => checkpoint.cursor,
    sources: () => files.state(),
    lostFiles: () => files.missedFiles,
  });
  const unusable = unusableFile(reader, targets, config);
  if (unusable !== undefined) {
    log.log('misconfigured', unusable);
    status.set('stopped', targets[0]?.text ?? '', unusable);
    throw new UsageError(unusable);
  }
  const { hostname } = reader.environment();
  const { firstBoot } = start;
  files.watch();
  const daemon = new Daemon({
    ...{ reader, targets, config, clock, hostname, checkpoint, files, firstBoot, status, log },
  });
  const stopped = untilStopped(daemon, () => finish(reader, daemon, files, () => checkpoint.cursor, log));
  await Promise.race([daemon.run(), stopped]);
  daemon.abort();
  checkpoint.save();
  await store.flush();
  status.stop();
  return 0;
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
    const discarded = await describeEnd(reader, files.state(), cursor());
    if (discarded !== undefined && !daemon.notify(discarded)) log.log('discarded', discarded);
  }
  daemon.finish();
}
