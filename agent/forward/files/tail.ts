import { openEventAt } from '../../lib/audit-record.ts';
import type { LogFile } from '../../system/log-file.ts';
import type { LineChunk } from '../stages.ts';
import {
  type Sample,
  type TailRecord,
  bytesAt,
  bytesBefore,
  hashesOf,
  headBytes,
  lastBytes,
  lineBytes,
  sampleOf,
  endOfNuls,
  nulRunIn,
} from './content.ts';

const chunkBytes = 64 * 1024;
/** The maximum number of lines that are emitted at once, which bounds the memory for their messages. */
const chunkLines = 1024;
/** How long the end of a file must stay unchanged before a line without a line feed, or an audit event, is complete. */
const lineMilliseconds = 5000;
const eventMilliseconds = 100;

/**
 * What follows in a file.
 *
 * - `truncated`: the file was truncated, or its content was replaced.
 * - `stale`: the open file shows less than its size, because an overlay copied it up (Linux before 4.19, overlayfs.rst), or
 *   because it was truncated just now.
 * - `filled`: the file was empty, and was modified since. It may have been filled, copied and truncated meanwhile.
 * - `nuls`: so many NUL bytes were skipped, and `unknown` bytes that were not examined, because nearly all are holes.
 */
type Next = LineChunk | 'truncated' | 'stale' | 'filled' | Skipped | undefined;

export interface Skipped {
  nuls: number;
  unknown: number;
}

type Seen = Sample & { bytes: number };

const shared = Buffer.allocUnsafeSlow(lineBytes);
const noBytes = Buffer.alloc(0);

interface TailOptions {
  id: number;
  /** The name in the configuration, also for a file that was renamed. */
  path: string;
  /** Whether this is the log of auditd. */
  audit: boolean;
}

/**
 * Reads the lines of one file, from an offset to its end. The file stays open, so that it is read to its end when it is
 * renamed or removed.
 */
export class Tail {
  readonly id: number;
  readonly inode: string;
  readonly #options: TailOptions;
  readonly #file: LogFile;
  /** The offset after the last line that was emitted. */
  read: number;
  /** The offset after the last line that was acknowledged. */
  acknowledged: number;
  /** The size and the mtime of the file when it was last examined. */
  bytes: number;
  modified: number;
  /** When another file took the place of this one, in milliseconds; undefined while it is in its place. */
  retired: number | undefined;
  /** Whether nobody writes to the file any more, so that its last line is complete even without a line feed. */
  #isComplete = false;
  /** When the file was last seen to have changed. */
  #changed = 0;
  #recorded: TailRecord;
  #head: Buffer;
  /** The bytes before `read`; undefined if they are not known from memory. */
  #before: Buffer | undefined;
  /** The last lines that were emitted, and the bytes before them; undefined if all are acknowledged. */
  #emitted: { offset: number; text: string; before: Buffer } | undefined;
  /** The content at the end of the file that is not read yet, to recognise a copy of it. */
  #unread: Seen | undefined;
  /** When the end of the file reached the present size; the bytes after the last complete line are held back. */
  #unchanged = { bytes: -1, since: 0 };
  /** The time before which an unchanged end of the file need not be read again. */
  #heldUntil = 0;
  /** The NUL bytes of the present run that were skipped. */
  #skipped = 0;

  /** @param acknowledged the offset after the last acknowledged line */
  constructor(options: TailOptions, file: LogFile, acknowledged: number, offset = acknowledged) {
    const { inode, bytes, modified } = file.stat();
    this.#options = options;
    this.id = options.id;
    this.inode = inode;
    this.#file = file;
    this.bytes = bytes;
    this.modified = modified;
    this.acknowledged = acknowledged;
    this.read = offset;
    const { head, before } = sampleOf(file, offset);
    this.#head = head;
    this.#before = before;
    const recorded = { head: head.subarray(0, acknowledged), before: bytesBefore(file, acknowledged) };
    this.#recorded = { ...{ inode, offset: acknowledged, bytes, modified }, ...hashesOf(recorded) };
    if (bytes > offset) this.#hold();
  }

  /** Whether every byte of the file was emitted and acknowledged. */
  get done(): boolean {
    return this.acknowledged === this.read && this.read === this.bytes;
  }

  /** Whether bytes at the end are held back until the file has been unchanged for a while. */
  get holding(): boolean {
    return this.#unchanged.bytes === this.bytes && this.read < this.bytes;
  }

  /** When the file last changed or was retired, in milliseconds; undefined while it is in its place. */
  get quietSince(): number | undefined {
    return this.retired === undefined ? undefined : Math.max(this.retired, this.#changed);
  }

  /** Whether the open file shows less than its size. */
  get isStale(): boolean {
    return this.bytes > this.read && bytesAt(this.#file, this.read, 1).length === 0;
  }

  /** Another file has taken the place of this one. @param isComplete whether nobody writes to the file any more */
  retire(now: number | undefined, isComplete = this.#isComplete): void {
    this.retired = now;
    this.#isComplete = isComplete;
  }

  /** @returns the number of bytes that were not acknowledged before */
  acknowledge(offset: number): number {
    const bytes = Math.max(0, offset - this.acknowledged);
    this.acknowledged += bytes;
    return bytes;
  }

  rewind(): void {
    if (this.read === this.acknowledged) return;
    this.#unread ??= this.#seen();
    this.read = this.acknowledged;
    this.#before = undefined;
  }

  close(): void {
    this.#file.close();
  }

  /** Returns where the file is acknowledged. If it was truncated meanwhile, returns the previous record. */
  record(): TailRecord {
    const { acknowledged: offset, bytes } = this;
    const last = this.#recorded;
    if (last.offset === offset && last.bytes === bytes && last.modified === this.modified) return last;
    const known = (offset === this.read ? this.#before : undefined) ?? this.#emittedBefore(offset);
    if (offset === this.read) this.#emitted = undefined;
    if (known === undefined && !this.#sameContent()) return last;
    const before = known ?? bytesBefore(this.#file, offset);
    this.#recorded = this.#recordAt(offset, { head: this.#head.subarray(0, offset), before });
    return this.#recorded;
  }

  /**
   * Returns the next complete lines.
   * @param now milliseconds of a clock that never goes back
   * @param final whether to return an incomplete last line as well
   * @throws SystemError if the file cannot be read
   */
  next(now: number, final: boolean): Next {
    const before = this.bytes;
    const { bytes, modified } = this.#file.stat();
    const untouched = bytes === before && modified === this.modified;
    const waits = bytes === this.read || (now < this.#heldUntil && !final && !this.#isComplete);
    if (untouched && waits) return undefined;
    if (!untouched) this.#changed = now;
    this.#heldUntil = 0;
    if (bytes < before || !this.#sameContent()) return 'truncated';
    this.bytes = bytes;
    this.modified = modified;
    if (before === 0 && !untouched) {
      this.#hold();
      return 'filled';
    }
    if (bytes === this.read) return undefined;
    if (this.#unchanged.bytes !== bytes) this.#unchanged = { bytes, since: now };
    return this.#lines(now, final || this.#isComplete);
  }

  /** Returns a record of the content that was seen last, from memory, for a file that was truncated meanwhile. */
  recordOfSeen(): TailRecord {
    const seen = this.#seen();
    return this.#recordAt(seen.bytes, seen);
  }

  /** Returns a record of what was read, from memory; its offset is 0 if nothing is known. */
  recordOfRead(): TailRecord {
    const before = this.#before;
    if (before === undefined) return this.#recordAt(0, { head: noBytes, before: noBytes });
    return this.#recordAt(this.read, { head: this.#head.subarray(0, this.read), before });
  }

  #recordAt(offset: number, sample: Sample): TailRecord {
    const { inode, bytes, modified } = this;
    return { inode, offset, bytes, modified, ...hashesOf(sample) };
  }

  /** Returns the bytes before an offset within the lines that were emitted last. */
  #emittedBefore(offset: number): Buffer | undefined {
    const last = this.#emitted;
    if (last === undefined || offset < last.offset) return undefined;
    return lastBytes(last.before, last.text.slice(0, offset - last.offset));
  }

  #lines(now: number, final: boolean): Next {
    const wanted = Math.min(chunkBytes, this.bytes - this.read);
    const filled = this.#fill(wanted);
    if (filled < wanted) return 'stale';
    const nuls = nulRunIn(shared.subarray(0, filled));
    const still = now - this.#unchanged.since;
    if (nuls === 0) return this.#skipNuls(now, final || still >= lineMilliseconds);
    const count = nuls < 0 ? filled : nuls;
    const atEnd = this.read + count >= this.bytes;
    const end = endOfLines(shared.subarray(0, count));
    if (end > 0) {
      const text = shared.toString('latin1', 0, end);
      const complete = !this.#options.audit || !atEnd || final || end < count || still >= eventMilliseconds;
      if (!complete) this.#heldUntil = now + eventMilliseconds;
      return this.#emit(complete ? text : text.slice(0, openEventAt(text)), true);
    }
    if (nuls > 0 || count === lineBytes || (atEnd && (final || still >= lineMilliseconds)))
      return this.#emit(shared.toString('latin1', 0, count), false);
    this.#heldUntil = this.#unchanged.since + lineMilliseconds;
    this.#hold();
    return undefined;
  }

  /** Skips a run of NUL bytes. Waits until everything before it is acknowledged, so that it is skipped only once. */
  #skipNuls(now: number, complete: boolean): Skipped | undefined {
    this.#heldUntil = now + eventMilliseconds;
    if (this.acknowledged !== this.read) return undefined;
    const { end, beyond, isOpen } = endOfNuls(this.#file, this.read, this.bytes, shared);
    // What is written there at present may not be visible yet.
    if (end === this.bytes && !complete) return undefined;
    this.#skipped += end - this.read;
    this.read = this.acknowledged = beyond;
    const { head, before } = sampleOf(this.#file, beyond);
    [this.#head, this.#before] = [head, before];
    this.#emitted = this.#unread = undefined;
    this.#hold();
    if (isOpen && end === beyond) return undefined;
    const skipped = { nuls: this.#skipped, unknown: beyond - end };
    [this.#skipped, this.#heldUntil] = [0, 0];
    return skipped;
  }

  #hold(): void {
    const { bytes } = this;
    if (this.#unread !== undefined && this.#unread.bytes >= bytes) return;
    const { head, before, isWhole } = sampleOf(this.#file, bytes);
    // After a short read, nothing is known of the end of the file.
    if (isWhole) this.#unread = { bytes, head, before };
  }

  /** Reads a chunk or, if it contains no line feed, a whole line. @returns the number of bytes in the shared buffer */
  #fill(wanted: number): number {
    const count = this.#file.read(shared.subarray(0, wanted), this.read);
    if (count < chunkBytes || shared.subarray(0, count).includes(10)) return count;
    return this.#file.read(shared.subarray(0, Math.min(lineBytes, this.bytes - this.read)), this.read);
  }

  #emit(text: string, terminated: boolean): LineChunk | undefined {
    if (text === '') {
      this.#hold();
      return undefined;
    }
    this.#unread = undefined;
    const offset = this.read;
    this.read += text.length;
    if (this.#head.length < headBytes && this.#head.length >= offset)
      this.#head = Buffer.concat([this.#head.subarray(0, offset), Buffer.from(text, 'latin1')]).subarray(
        0,
        headBytes,
      );
    const before = this.#before ?? bytesBefore(this.#file, offset);
    this.#emitted = { offset, text, before };
    this.#before = lastBytes(before, text);
    if (this.read < this.bytes && this.bytes - this.read < chunkBytes) this.#hold();
    return { ...this.#options, inode: this.inode, offset, text, terminated };
  }

  /** Returns the content that was seen last, as far as it is known from memory. */
  #seen(): Seen {
    return this.#unread ?? { bytes: this.read, head: this.#head, before: this.#before ?? noBytes };
  }

  #sameContent(): boolean {
    const { bytes, head, before } = this.#seen();
    return head.equals(bytesAt(this.#file, 0, head.length)) && before.equals(bytesBefore(this.#file, bytes));
  }
}

/** Returns the offset after the last line feed, but of at most the first 1024 lines; 0 if there is none. */
function endOfLines(bytes: Buffer): number {
  const last = bytes.lastIndexOf(10) + 1;
  let end = 0;
  for (let lines = 0; lines < chunkLines && end < last; lines += 1) end = bytes.indexOf(10, end) + 1;
  return end;
}
