import { type LogEntry, type Run, runEntries } from '../reader.ts';
import { ExportError, ExportParser } from './export-parser.ts';

const headerBytes = 20;
/** The number of entries, the offset of the last one, and the number of bytes after the header. */
const header = /^ *([0-9]+) +([0-9]+) +([0-9]+)\n$/;
/** The maximum number of bytes after the header. */
const contentBytes = 65_536;
const nothing = Buffer.alloc(0);

/** Splits the output of `read-journal --blocks` (packaging/programs/read-journal.c) into runs and other entries. */
export class BlockParser {
  readonly #parser = new ExportParser('all');
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
      const { count, last, size } = parseHeader(bytes.toString('latin1', at, at + headerBytes));
      const end = at + headerBytes + size;
      if (end > bytes.length) break;
      const content = bytes.subarray(at + headerBytes, end);
      if (count > 1) entries.push(runOf(content, last, count));
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

/** Replaces each run by its entries. */
export function splitRuns(entries: LogEntry[]): LogEntry[] {
  if (!entries.some(({ run }) => run !== undefined)) return entries;
  return entries.flatMap((entry) =>
    entry.run === undefined ? entry : new ExportParser('all').push(entry.run.bytes),
  );
}

/** @throws ExportError */
function parseHeader(text: string): Pick<Run, 'count'> & { last: number; size: number } {
  const [count = 0, last = 0, size = 0] = header.exec(text)?.slice(1).map(Number) ?? [];
  if (size === 0 || size > contentBytes || last >= size || count > runEntries)
    throw new ExportError('a header that is not one');
  return { count, last, size };
}

/** @param last the offset of the last entry */
function runOf(bytes: Buffer, last: number, count: number): LogEntry {
  return {
    ...{ kind: 'entry', cursor: cursorAt(bytes, last), text: '', message: undefined, cut: 0 },
    run: { first: cursorAt(bytes, 0), count, bytes },
  };
}

const firstLine = '__CURSOR=';

/** @throws ExportError */
function cursorAt(bytes: Buffer, at: number): string {
  const line = bytes.toString('latin1', at, bytes.indexOf(10, at));
  if (!line.startsWith(firstLine)) throw new ExportError('an entry that does not begin with its cursor');
  return line.slice(firstLine.length);
}
