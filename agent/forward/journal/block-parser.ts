import { type LogEntry, item, runEntries } from '../../lib/journal-export/entry.ts';
import { ExportError, ExportParser } from '../../lib/journal-export/parser.ts';

const headerBytes = 20;
const header = /^ *([0-9]+) +([0-9]+) +([0-9]+)\n$/;
/** The maximum number of bytes after the header. */
const contentBytes = 65_536 - headerBytes;
const nothing = Buffer.alloc(0);

/** Splits the output of `read-journal --blocks` (packaging/programs/read-journal.c) into runs and other entries. */
export class BlockParser {
  readonly #parser = new ExportParser(undefined);
  /** The beginning of a block, a copy that keeps no chunk alive. */
  #carried = nothing;

  /**
   * @returns the entries and pieces that this chunk completes, in order
   * @throws ExportError if the bytes are not such blocks; the parser must not be used afterwards
   */
  push(chunk: Buffer): LogEntry[] {
    const entries: LogEntry[] = [];
    // Runs refer to these bytes, so they must not be overwritten later.
    const bytes = this.#carried.length === 0 ? chunk : Buffer.concat([this.#carried, chunk]);
    let at = 0;
    while (bytes.length - at >= headerBytes) {
      const { count, lastOffset, size } = parseHeader(bytes.toString('latin1', at, at + headerBytes));
      const end = at + headerBytes + size;
      if (end > bytes.length) break;
      const content = bytes.subarray(at + headerBytes, end);
      if (count > 0 && this.#parser.isWithinEntry) throw new ExportError('a block within an entry');
      if (count > 1) entries.push(runOf(content, lastOffset, count));
      else entries.push(...this.#parser.push(content));
      at = end;
    }
    this.#carried = at === bytes.length ? nothing : Buffer.from(bytes.subarray(at));
    return entries;
  }

  /**
   * Must be called at the end of the input. An incomplete block is dropped; all of its entries must be read again.
   * @returns the cursor of the last entry if the entry is incomplete, else undefined
   */
  end(): string | undefined {
    return this.#parser.end();
  }
}

export function splitRuns(entries: LogEntry[]): LogEntry[] {
  if (!entries.some(({ run }) => run !== undefined)) return entries;
  return entries.flatMap((entry) =>
    entry.run === undefined ? entry : new ExportParser(undefined).push(entry.run.bytes),
  );
}

/**
 * Returns the number of complete entries, 0 if the block is a part of an entry; the offset of the last entry; and the
 * number of bytes after the header.
 * @throws ExportError
 */
function parseHeader(text: string): { count: number; lastOffset: number; size: number } {
  const [count = 0, lastOffset = 0, size = 0] = header.exec(text)?.slice(1).map(Number) ?? [];
  if (size === 0 || size > contentBytes || lastOffset >= size || count > runEntries)
    throw new ExportError('an invalid block header');
  return { count, lastOffset, size };
}

function runOf(bytes: Buffer, lastOffset: number, count: number): LogEntry {
  const run = { first: cursorAt(bytes, 0), count, bytes };
  return { ...item('entry', cursorAt(bytes, lastOffset), ''), run };
}

const firstLine = '__CURSOR=';

/** @throws ExportError */
function cursorAt(bytes: Buffer, at: number): string {
  const line = bytes.toString('latin1', at, bytes.indexOf(10, at));
  if (!line.startsWith(firstLine)) throw new ExportError('an entry that does not begin with its cursor');
  return line.slice(firstLine.length);
}
