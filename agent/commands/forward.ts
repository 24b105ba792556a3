import { forwardProblems, readConfig } from '../config/config.ts';
import { UsageError, errorMessage } from '../lib/errors.ts';
import { systemClock } from '../system/clock.ts';
import { Daemon } from '../forward/pipeline/daemon.ts';
import { deadlineMilliseconds, drained, isShutdown } from '../forward/pipeline/drain.ts';
import { keepHeapSmall } from '../lib/memory.ts';
import { readPosition, writePosition } from '../forward/pipeline/checkpoint-file.ts';
import { Progress } from '../forward/pipeline/checkpoint.ts';
import { StatusWriter } from '../forward/status/status-writer.ts';
import { parseTargets } from '../forward/transport/target.ts';
import { Voice } from '../forward/status/rate-limited-log.ts';
import type { SystemReader } from '../system/reader.ts';
import { testForwarding } from './forward-test.ts';
import { openJournal } from '../system/log.ts';
import type { Output } from './output.ts';

export interface ForwardOptions {
  test?: boolean;
}

/** In-flight messages are waited for so long when only the service is stopped. */
const finishMilliseconds = 5000;

/**
 * `forward`: the daemon. Runs until SIGTERM or SIGINT; at shutdown it goes on until all that stops has stopped.
 * @returns 0; also at once where FORWARD is empty
 * @throws UsageError where FORWARD is malformed, or the configuration does not say for sure whom to trust
 */
export async function forwardCommand(
  reader: SystemReader,
  output: Output,
  options: ForwardOptions,
): Promise<number> {
  keepHeapSmall();
  const { config, problems } = readConfig(reader);
  const stopping = forwardProblems(problems);
  if (stopping.length > 0) {
    const reason = `${stopping.join('; ')}: fix the configuration, then start immutafs-forward.service again`;
    if (!options.test) new Voice(await openJournal()).misconfigured(reason);
    throw new UsageError(reason);
  }
  const targets = parseTargets(config.FORWARD);
  const clock = systemClock(reader);
  if (options.test) {
    if (targets.length === 0) throw new UsageError('FORWARD is empty');
    return testForwarding(reader, output, targets, config, clock);
  }
  const voice = new Voice(await openJournal());
  if (targets.length === 0) {
    voice.ended('FORWARD is empty, the journal ends with this boot');
    return 0;
  }
  const { cursor, problem: surprise } = readPosition(reader, clock.bootId, clock.monotonic());
  if (surprise !== undefined) voice.trouble(`${surprise}, beginning with this boot's first entry`);
  const progress = new Progress(cursor, (acknowledged) => {
    try {
      writePosition(reader, clock.bootId, acknowledged);
    } catch (error) {
      voice.trouble(errorMessage(error));
    }
  });
  const { hostname } = reader.environment();
  const status = new StatusWriter(reader, progress, (reason) => voice.trouble(reason));
  const daemon = new Daemon({ targets, config, clock, hostname, progress, status, voice });
  const aborted = untilStopped(daemon, progress);
  await Promise.race([daemon.run(), aborted]);
  progress.save();
  status.stop();
  // An attempt to connect that is under way, to a better server too, would go on for seconds.
  process.exit(0);
}

/** At SIGTERM or SIGINT lets the daemon end in good order. Resolves when that takes too long. */
function untilStopped(daemon: Daemon, progress: Progress): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false;
    const stop = async () => {
      if (stopping) return;
      stopping = true;
      const work = { cursor: () => progress.cursor, idle: () => daemon.idle };
      if (await isShutdown()) await drained(work, performance.now() + deadlineMilliseconds);
      daemon.finish();
      setTimeout(resolve, daemon.connected ? finishMilliseconds : 0).unref();
    };
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop());
  });
}
