import { decodeBytes } from '../../lib/format.ts';
import { syslogFields } from '../../lib/journal-export/fields.ts';
import { ExportError, ExportParser } from '../../lib/journal-export/parser.ts';
import { type JournalStream, type StartPosition, followJournal } from '../../system/journalctl.ts';
import { findRefusedWrite } from './refused-writes.ts';

/** A refused write that the journal reports. */
export interface Refusal {
  /** The unit of the program; otherwise its name. */
  unit: string;
  path: string | null;
  /** The message, or its beginning. */
  message: string;
}

/** Messages of this package, which report refused writes of its own probes. */
const own = /^immutafs[-_]/;
/** systemd names the unit of a message in UNIT. */
const watchedFields = [...syslogFields, 'UNIT'];
/** The values of _SYSTEMD_UNIT of systemd itself, of all releases. */
const ofSystemd = new Set(['', 'init.scope', '-.slice']);
const longestMessage = 300;
/** The longest name of a unit (systemd.unit(5)). */
const longestUnit = 255;
/** Upper bounds, because any program can log any number of different messages. */
const most = { refusals: 1000, units: 500 };
const messagesOfUnit = 3;
const restartAfter = 5000;

/** Collects, from the journal of this boot, the refused writes and the last messages of each unit. */
export class JournalWatch {
  readonly refusals: Refusal[] = [];
  /** The number of refused writes beyond the limit. */
  omitted = 0;
  /** The reason why the journal is not read; empty if it is. */
  problem = '';
  readonly #last = new Map<string, string[]>();
  #stream: JournalStream | undefined;
  #timer: NodeJS.Timeout | undefined;
  #cursor = '';
  #hasFailed = false;
  readonly #follow: typeof followJournal;

  constructor(follow = followJournal) {
    this.#follow = follow;
  }

  /** Follows the journal until `stop` is called. If reading ends, starts journalctl, which skips corrupt entries. */
  follow(): void {
    this.#start(
      this.#cursor === '' ? { at: 'boot' } : { at: 'cursor', cursor: this.#cursor },
      undefined,
      (reason) => {
        this.problem = reason;
        this.#hasFailed = true;
        this.#timer = setTimeout(() => this.follow(), restartAfter);
      },
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stream?.stop();
  }

  /** Reads the entries of a boot that exist now. @param milliseconds the time after which the rest is left out */
  readBoot(bootId: string, milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.problem = 'reading the journal took too long';
        this.stop();
        resolve();
      }, milliseconds);
      this.#start({ at: 'head' }, bootId, (reason, complete) => {
        clearTimeout(timer);
        if (!complete) this.problem = reason;
        resolve();
      });
    });
  }

  /** Returns the last messages of a unit, the oldest first. */
  lastMessages(unit: string): readonly string[] {
    return this.#last.get(unit) ?? [];
  }

  /** Examines one entry in the export format. @param text fields, one per line, one character per byte (latin1) */
  add(text: string, message: string | undefined): void {
    const lines = `\n${text}`;
    const field = (name: string) => {
      const at = lines.indexOf(`\n${name}=`);
      return at === -1 ? '' : text.slice(at + name.length + 1, text.indexOf('\n', at));
    };
    const identifier = field('SYSLOG_IDENTIFIER');
    const trusted = field('_SYSTEMD_UNIT');
    if (own.test(identifier) || own.test(trusted)) return;
    // Only systemd itself may name another unit, because any process can set the field UNIT.
    const named = ofSystemd.has(trusted) ? field('UNIT') || identifier || field('_TRANSPORT') : trusted;
    const unit = named.slice(0, longestUnit);
    const said = decodeBytes((message ?? field('MESSAGE')).slice(0, 2000));
    this.#keep(unit, said.slice(0, longestMessage));
    const path = findRefusedWrite(said);
    if (path === undefined) return;
    if (this.refusals.length >= most.refusals) this.omitted += 1;
    else this.refusals.push({ unit, path, message: said.slice(0, longestMessage) });
  }

  #keep(unit: string, message: string): void {
    const kept = this.#last.get(unit) ?? [];
    this.#last.delete(unit);
    this.#last.set(unit, [...kept, message].slice(-messagesOfUnit));
    // The unit without a message for the longest time is the first in the map.
    const [oldest = ''] = this.#last.keys();
    if (this.#last.size > most.units) this.#last.delete(oldest);
  }

  #start(
    from: StartPosition,
    boot: string | undefined,
    ended: (reason: string, complete: boolean) => void,
  ): void {
    const parser = new ExportParser(watchedFields);
    let known = from.at === 'cursor' ? from.cursor : '';
    const read = (chunk: Buffer) => {
      for (const { cursor, ...entry } of parser.push(chunk)) {
        // The stream begins with the entry of the cursor, which has been examined.
        if (cursor !== known && entry.kind === 'entry') {
          this.add(entry.text, entry.message);
          this.problem = '';
        }
        known = '';
        this.#cursor = cursor;
      }
    };
    const stream = this.#follow(
      { start: from, fields: watchedFields, boot, fast: !this.#hasFailed },
      (chunk) => {
        try {
          read(chunk);
        } catch (error) {
          if (!(error instanceof ExportError)) throw error;
          stream.stop();
          ended('an entry of the journal is corrupt', false);
        }
      },
      ({ reason, complete }) => ended(reason, complete),
    );
    this.#stream = stream;
  }
}
