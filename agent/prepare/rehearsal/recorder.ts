import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '../../config/config.ts';
import { evaluateGuest } from '../../evaluate.ts';
import { readIdentity } from '../../facts/identity.ts';
import { SystemError, errorMessage } from '../../lib/errors.ts';
import { toJson } from '../../lib/unprintable.ts';
import { type Log, priority } from '../../system/log.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { SystemWriter } from '../../system/writer.ts';
import { AuditWatch } from './audit-watch.ts';
import { type Sample, measureGrowth, takeSample } from './growth.ts';
import { JournalWatch } from './journal-watch.ts';
import { folderFinder } from './refused-writes.ts';
import { type Seen, buildReport } from './report.ts';
import { type RehearsalReport, type Request, currentReportFile, endedByCommandFile } from './record.ts';
import { readProgress, readUnits } from './units.ts';

/** In seconds. A report with news is saved sooner than one without. */
const interval = { tick: 5, units: 15, sample: 30, checks: 120, save: { news: 15, always: 300 } };
const bootProgram = '/usr/libexec/immutafs/immutafs-boot';
const saveTimeout = 30;

/** Records a rehearsal until it is stopped, and saves the report on the system disk now and then. */
export class Recorder {
  readonly #reader: SystemReader;
  readonly #writer: SystemWriter;
  readonly #request: Request;
  readonly #log: Log;
  readonly #journal: JournalWatch;
  readonly #audit: AuditWatch;
  readonly #folderOf: (path: string) => string;
  readonly #began: string;
  readonly #bootId: string;
  #units: Seen['units'] = { failed: new Map(), skipped: new Set() };
  #failing: Seen['failing'] = [];
  #settledSeconds: number | null = null;
  #first: Sample | undefined;
  #last: Sample | undefined;
  #unitsRead = -Infinity;
  #checked = -Infinity;
  #saved = { at: -Infinity, news: '' };
  #complaint = '';

  constructor(
    reader: SystemReader,
    writer: SystemWriter,
    request: Request,
    log: Log,
    journal = new JournalWatch(),
  ) {
    this.#reader = reader;
    this.#writer = writer;
    this.#request = request;
    this.#log = log;
    this.#journal = journal;
    this.#audit = new AuditWatch(reader, writer);
    this.#folderOf = folderFinder(reader);
    this.#began = reader.now().toISOString();
    this.#bootId = readIdentity(reader).bootId;
  }

  /** @param stop ends the recording, for example at a shutdown; the report is then saved once more */
  async run(stop: AbortSignal): Promise<void> {
    await this.#audit.start();
    this.#journal.follow();
    while (!stop.aborted) {
      await this.#tick();
      await sleep(interval.tick * 1000, undefined, { signal: stop }).catch(() => undefined);
    }
    // The units that are being stopped have not failed because of the rehearsal, so their states are not read again.
    this.#audit.read();
    await this.#publish(this.#report(this.#endedBy()));
    await this.#save();
    this.#journal.stop();
    await this.#audit.stop();
  }

  async #tick(): Promise<void> {
    const now = this.#reader.environment().seconds;
    this.#audit.read();
    await this.#observe(async () => {
      if (now - this.#unitsRead < interval.units) return;
      this.#unitsRead = now;
      const units = await readUnits(this.#reader);
      const { isComplete, isStopping } = await readProgress(this.#reader);
      // Services that systemd stops may fail, whether the guest is sealed or not.
      if (isStopping) return;
      this.#units = units;
      if (isComplete) this.#settledSeconds ??= now;
    });
    if (this.#settledSeconds !== null) await this.#measure(now);
    const report = this.#report(null);
    await this.#publish(report);
    const news = newsOf(report);
    const age = now - this.#saved.at;
    if (age < (news === this.#saved.news ? interval.save.always : interval.save.news)) return;
    this.#saved = { at: now, news };
    await this.#save();
  }

  /** Measures the layers and evaluates the checks, when the boot is complete. */
  async #measure(now: number): Promise<void> {
    if (this.#last === undefined || now - this.#last.at >= interval.sample) {
      this.#last = takeSample(this.#reader, readConfig(this.#reader).config) ?? this.#last;
      this.#first ??= this.#last;
    }
    if (now - this.#checked >= interval.checks) {
      this.#checked = now;
      await this.#observe(async () => this.#evaluate());
    }
  }

  async #evaluate(): Promise<void> {
    const { checks } = await evaluateGuest(this.#reader);
    this.#failing = checks.filter(
      ({ severity, status }) => severity === 'required' && (status === 'fail' || status === 'error'),
    );
  }

  /** Runs an observation. If it fails, the recorder continues, because the others are still useful. */
  async #observe(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#complain(errorMessage(error));
    }
  }

  #report(endedBy: RehearsalReport['endedBy']): RehearsalReport {
    const { refusals, omitted, problem } = this.#journal;
    const state = {
      ...{ bootId: this.#bootId, began: this.#began, savedAt: this.#reader.now().toISOString() },
      ...{ uptimeSeconds: this.#reader.environment().seconds, endedBy, settledSeconds: this.#settledSeconds },
      ...{ omitted, sources: { journal: problem, audit: this.#audit.source } },
    };
    const seen: Seen = {
      ...{ units: this.#units, refusals, denials: this.#audit.denials, failing: this.#failing },
      growth: measureGrowth(this.#first, this.#last),
    };
    return buildReport(this.#request, state, seen, {
      config: readConfig(this.#reader).config,
      folderOf: this.#folderOf,
      lastMessages: (unit) => this.#journal.lastMessages(unit),
    });
  }

  #endedBy(): RehearsalReport['endedBy'] {
    if (this.#reader.stat(endedByCommandFile) !== undefined) return 'command';
    return this.#reader.environment().seconds >= this.#request.limitSeconds ? 'limit' : 'shutdown';
  }

  async #publish(report: RehearsalReport): Promise<void> {
    const text = `${toJson(report, 1)}\n`;
    await this.#observe(() => this.#writer.writeAtomicallyLater(currentReportFile, text, 0o600));
  }

  /** Copies the report from /run to the disk. A failure is logged; the next attempt may succeed. */
  async #save(): Promise<void> {
    await this.#observe(async () => {
      const { exit, stderr } = await this.#writer.run(bootProgram, ['save-rehearsal'], saveTimeout);
      if (exit === 0) return;
      const reason = stderr.trim().split('\n').at(-1) ?? '';
      // Also after a timeout: the program may have been killed while the superblock was writable.
      const sealed = await this.#writer.run(bootProgram, ['save-rehearsal', 'seal'], saveTimeout);
      const state = sealed.exit === 0 ? '' : '; its superblock may be writable';
      throw new SystemError(`The report cannot be saved on the disk${state}: ${reason}`);
    });
  }

  /** Logs a failure, unless it is the same as before. */
  #complain(reason: string): void {
    if (reason === this.#complaint) return;
    this.#complaint = reason;
    this.#log(priority.warning, reason, {});
  }
}

/** Returns what a power cut should not lose: a report with the same news is saved less often. */
function newsOf({ ready, settledSeconds, observations, add }: RehearsalReport): string {
  const seen = observations.map(({ kind, subject, paths }) => [kind, subject, ...paths]);
  return JSON.stringify([ready, settledSeconds, seen, add]);
}
