import type { LogFile } from '../../system/log-file.ts';
import type { LineChunk } from '../reader.ts';
import { openEventAt } from './audit-event.ts';
import { type TailRecord, beforeBytes, bytesAt, digest, headBytes, lastBytes } from './content.ts';
import { endOfNuls, nulRunIn } from './holes.ts';

/** The maximum length of a line. A longer line is sent in several parts. */
const lineBytes = 1024 * 1024;
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
 * - `emptySince`: the file was empty at this time, in milliseconds since the epoch, and was modified since. It may have
 *   been filled, copied and truncated meanwhile.
 * - `nuls`: so many NUL bytes were skipped, and `unknown` bytes that were not examined, because nearly all are holes.
 */
export type Next = LineChunk | 'truncated' | 'stale' | { emptySince: number } | Skipped | undefined;

export interface Skipped {
  nuls: number;
  unknown: number;
}

/** What is known of the content up to an offset: its beginning and its end. */
interface Seen {
  bytes: number;
  head: Buffer;
  before: Buffer;
}

const shared = Buffer.allocUnsafeSlow(lineBytes);

/**
 * Reads the lines of one file, from an offset to its end. The file stays open, so that it is read to its end when it is
 * renamed or removed.
 */
export class Tail {
  readonly id: number;
  readonly path: string;
  readonly inode: string;
  /** The offset after the last line that was emitted. */
  read: number;
  /** The offset after the last line that was acknowledged. */
  acknowledged: number;
  /** When another file took the place of this one, in milliseconds; undefined while it is in its place. */
  retired: number | undefined;
  /** Whether this is the log of auditd. */
  audit = false;
  /** Whether nobody writes to the file any more, so that its last line is complete even without a line feed. */
  complete = false;
  /** The size of the file when it was last examined. */
  bytes: number;
  #modified = 0;
  #recorded: TailRecord;
  readonly #file: LogFile;
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
  /** When the file was last seen to have changed. */
  changed = 0;

  /**
   * @param path the name in the configuration, also for a file that was renamed
   * @param acknowledged the offset after the last acknowledged line
   * @param offset where to begin
   */
  constructor(id: number, path: string, file: LogFile, acknowledged: number, offset = acknowledged) {
    const { inode, bytes, modified } = file.stat();
    this.id = id;
    this.path = path;
    this.inode = inode;
    this.#file = file;
    this.bytes = bytes;
    this.#modified = modified;
    this.acknowledged = acknowledged;
    this.read = offset;
    this.#head = this.#bytesAt(0, Math.min(headBytes, offset));
    this.#before = this.#bytesBefore(offset);
    const hashes = {
      head: digest(this.#head.subarray(0, acknowledged)),
      before: digest(this.#bytesBefore(acknowledged)),
    };
    this.#recorded = { inode, offset: acknowledged, bytes, modified, ...hashes };
    if (bytes > offset) this.#hold();
  }

  get modified(): number {
    return this.#modified;
  }

  /** Whether every byte of the file was emitted and acknowledged. */
  get done(): boolean {
    return this.acknowledged === this.read && this.read === this.bytes;
  }

  /** Whether bytes at the end are held back until the file has been unchanged for a while. */
  get holding(): boolean {
    return this.#unchanged.bytes === this.bytes && this.read < this.bytes;
  }

  /** Whether the open file shows less than its size. */
  get isStale(): boolean {
    return this.bytes > this.read && this.#bytesAt(this.read, 1).length === 0;
  }

  /** Reads again what was not acknowledged. */
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
    const { inode, acknowledged: offset, bytes } = this;
    const last = this.#recorded;
    if (last.offset === offset && last.bytes === bytes && last.modified === this.#modified) return last;
    const known = (offset === this.read ? this.#before : undefined) ?? this.#emittedBefore(offset);
    if (offset === this.read) this.#emitted = undefined;
    if (known === undefined && !this.#sameContent()) return this.#recorded;
    const head = this.#head.subarray(0, offset);
    const hashes = { head: digest(head), before: digest(known ?? this.#bytesBefore(offset)) };
    this.#recorded = { inode, offset, bytes, modified: this.#modified, ...hashes };
    return this.#recorded;
  }

  /**
   * Returns the next complete lines.
   * @param now milliseconds of a clock that never goes back
   * @param final whether to return an incomplete last line as well
   * @returns `truncated` if the file was truncated or its content was replaced
   * @throws SystemError if the file cannot be read
   */
  next(now: number, final: boolean): Next {
    const before = this.bytes;
    const { bytes, modified } = this.#file.stat();
    const untouched = bytes === before && modified === this.#modified;
    const waits = bytes === this.read || (now < this.#heldUntil && !final && !this.complete);
    if (untouched && waits) return undefined;
    if (!untouched) this.changed = now;
    this.#heldUntil = 0;
    if (bytes < before || !this.#sameContent()) return 'truncated';
    const since = this.#modified;
    this.bytes = bytes;
    this.#modified = modified;
    if (before === 0 && !untouched) {
      this.#hold();
      return { emptySince: since };
    }
    if (bytes === this.read) return undefined;
    if (this.#unchanged.bytes !== bytes) this.#unchanged = { bytes, since: now };
    return this.#lines(now, final || this.complete);
  }

  /** Returns a record of the content that was seen last, from memory, for a file that was truncated meanwhile. */
  recordOfSeen(): TailRecord {
    const { inode, bytes } = this;
    const modified = this.#modified;
    const { bytes: offset, head, before } = this.#seen();
    return { inode, offset, bytes, modified, head: digest(head), before: digest(before) };
  }

  /** Returns the bytes before an offset within the lines that were emitted last. */
  #emittedBefore(offset: number): Buffer | undefined {
    const last = this.#emitted;
    if (last === undefined || offset < last.offset) return undefined;
    return lastBytes(last.before, last.text.slice(0, offset - last.offset));
  }

  /** Returns a record of what was read, from memory; its offset is 0 if nothing is known. */
  recordOfRead(): TailRecord {
    const before = this.#before;
    const offset = before === undefined ? 0 : this.read;
    const hashes = {
      head: digest(this.#head.subarray(0, offset)),
      before: digest(before ?? Buffer.alloc(0)),
    };
    return { inode: this.inode, offset, bytes: this.bytes, modified: this.#modified, ...hashes };
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
      const complete = !this.audit || !atEnd || final || end < count || still >= eventMilliseconds;
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
    this.#head = this.#bytesAt(0, Math.min(headBytes, beyond));
    this.#before = this.#bytesBefore(beyond);
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
    const head = this.#bytesAt(0, Math.min(headBytes, bytes));
    const before = this.#bytesBefore(bytes);
    // After a short read, nothing is known of the end of the file.
    if (before.length === Math.min(beforeBytes, bytes)) this.#unread = { bytes, head, before };
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
    const before = this.#before ?? this.#bytesBefore(offset);
    this.#emitted = { offset, text, before };
    this.#before = lastBytes(before, text);
    if (this.read < this.bytes && this.bytes - this.read < chunkBytes) this.#hold();
    return { id: this.id, path: this.path, inode: this.inode, offset, text, terminated, audit: this.audit };
  }

  /** Returns the content that was seen last, as far as it is known from memory. */
  #seen(): Seen {
    return this.#unread ?? { bytes: this.read, head: this.#head, before: this.#before ?? Buffer.alloc(0) };
  }

  #sameContent(): boolean {
    const { bytes, head, before } = this.#seen();
    return head.equals(this.#bytesAt(0, head.length)) && before.equals(this.#bytesBefore(bytes));
  }

  #bytesBefore(offset: number): Buffer {
    const length = Math.min(beforeBytes, offset);
    return this.#bytesAt(offset - length, length);
  }

  #bytesAt(offset: number, length: number): Buffer {
    return bytesAt(this.#file, offset, length);
  }
}

/** Returns the offset after the last line feed, but of at most the first 1024 lines; 0 if there is none. */
function endOfLines(bytes: Buffer): number {
  const last = bytes.lastIndexOf(10) + 1;
  let end = 0;
  for (let lines = 0; lines < chunkLines && end < last; lines += 1) end = bytes.indexOf(10, end) + 1;
  return end;
}
