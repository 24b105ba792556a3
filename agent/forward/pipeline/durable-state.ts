import { decodeBytes } from '../../lib/format.ts';
import { SystemError, errorMessage } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { SystemWriter } from '../../system/writer.ts';
import type { FileRecord } from '../files/records.ts';
import { parseCursor } from '../journal/cursor.ts';
import type { FirstBoot } from '../journal/earlier-boots.ts';
import {
  type StoredCheckpoint,
  checkpointBytes,
  formatCheckpoint,
  malformedRecords,
  parseCheckpoint,
} from './checkpoint.ts';

/** The maximum age of the state on the disk, in milliseconds. As many entries are repeated after a power failure. */
const saveMilliseconds = 5000;
/** The timeout for the last write. */
const flushMilliseconds = 3000;
/** A clock that is behind the last acknowledged entry by more than this is not trusted, in microseconds. */
const futureMicroseconds = 24 * 3600 * 1_000_000;

/** What earlier boots have stored. */
export interface EarlierState extends StoredCheckpoint {
  /** Where to begin if no journal entry was acknowledged. */
  firstBoot: FirstBoot;
  /** Why the state, or a part of it, is not usable. */
  problem?: string;
}

const stateFile = (folder: string) => `${folder}/checkpoint`;

/**
 * Reads what was acknowledged in earlier boots. Somebody with root in an earlier boot may have written the file: it can
 * cause entries to be repeated, and entries of earlier boots to be left out, but no entry of this boot.
 * @param folder the value of FORWARD_STATE
 * @param machine the machine ID, 32 hexadecimal digits
 * @param realtime microseconds since 1970
 */
export function readEarlierState(
  reader: SystemReader,
  folder: string,
  machine: string,
  realtime: number,
): EarlierState {
  const file = stateFile(folder);
  const unusable = (problem: string): EarlierState => ({
    cursor: '',
    files: [],
    firstBoot: 'oldest',
    problem,
  });
  let text: string | undefined;
  try {
    if (reader.stat(folder) === undefined) return unusable(`${folder} does not exist`);
    text = reader.readRecord(file, 'directory', checkpointBytes);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return unusable(error.message);
  }
  if (text === undefined) return { cursor: '', files: [], firstBoot: 'this' };
  const [, owner, rest = ''] = /^MACHINE=([0-9a-f]{32})\n([^]*)$/.exec(decodeBytes(text)) ?? [];
  const stored = parseCheckpoint(rest);
  if (owner === undefined || stored === undefined) return unusable(`${file} is not a valid checkpoint`);
  if (owner !== machine) return unusable(`${file} belongs to another machine`);
  const { boot, cursor, files } = stored;
  if ((parseCursor(cursor)?.realtime ?? 0) > realtime + futureMicroseconds)
    return unusable(`the cursor in ${file} is in the future`);
  const problem = malformedRecords(file, stored);
  const firstBoot: FirstBoot = cursor === '' ? { id: boot } : 'this';
  return { cursor, files, firstBoot, ...(problem === undefined ? {} : { problem }) };
}

/** Stores what was acknowledged in a folder on a data disk. The disk may be slow, full or gone: nothing waits for it. */
export class DurableState {
  readonly #writer: SystemWriter;
  readonly #file: string;
  readonly #machine: string;
  /** The boot to which a state without a cursor refers: the one with which forwarding begins; undefined for all. */
  readonly #firstBoot: string | undefined;
  readonly #bootId: string;
  readonly #trouble: (reason: string) => void;
  #latest: StoredCheckpoint | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(
    writer: SystemWriter,
    folder: string,
    machine: string,
    bootId: string,
    firstBoot: FirstBoot,
    trouble: (reason: string) => void,
  ) {
    this.#writer = writer;
    this.#file = stateFile(folder);
    this.#machine = machine;
    this.#bootId = bootId;
    this.#firstBoot = firstBoot === 'this' ? bootId : firstBoot === 'oldest' ? undefined : firstBoot.id;
    this.#trouble = trouble;
  }

  save(cursor: string, files: FileRecord[]): void {
    if (cursor === '' && this.#firstBoot === undefined) return;
    this.#latest = { cursor, files };
    this.#timer ??= setTimeout(() => this.#write(), saveMilliseconds);
  }

  /** Writes what is not written yet, and gives up after three seconds. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#latest !== undefined) this.#write();
    const late = new Promise<void>((resolve) => setTimeout(resolve, flushMilliseconds).unref());
    await Promise.race([this.#writing, late]);
  }

  #write(): void {
    this.#timer = undefined;
    this.#writing = this.#writing.then(async () => {
      const latest = this.#latest;
      this.#latest = undefined;
      if (latest === undefined) return;
      const boot = latest.cursor === '' ? (this.#firstBoot ?? this.#bootId) : this.#bootId;
      const text = `MACHINE=${this.#machine}\n${formatCheckpoint(boot, latest)}`;
      try {
        await this.#writer.writeAtomicallyLater(this.#file, text, 0o600);
      } catch (error) {
        this.#trouble(errorMessage(error));
      }
    });
  }
}
