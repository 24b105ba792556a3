/** A file of an archive. */
export interface CpioFile {
  /** Without a leading "./" or "/". */
  name: string;
  /** One character a byte; undefined unless it was wanted. */
  text: string | undefined;
}

const headerBytes = 110;
const longestName = 4096;
/** Our scripts are smaller; larger files are not kept. */
const mostKept = 1024 * 1024;

/**
 * Reads a sequence of cpio archives in the format newc (cpio(5)), with zeros between them, piece by piece, as the kernel
 * does (Documentation/driver-api/early-userspace/buffer-format.rst). Keeps only the current piece in memory.
 */
export class CpioReader {
  private unread: Buffer = Buffer.alloc(0);
  private skip = 0;
  private place = 0;
  readonly found: CpioFile[] = [];
  /** Data that begins where an archive could begin, and is none: possibly a compressed archive. */
  rest: Buffer | undefined;
  private inside = false;
  private readonly isWanted: (name: string) => boolean;

  /** @param isWanted whether to keep the content of a file of this name */
  constructor(isWanted: (name: string) => boolean) {
    this.isWanted = isWanted;
  }

  /** @throws Error for a malformed archive */
  write(piece: Buffer): void {
    if (this.rest !== undefined) return;
    let data = this.unread.length === 0 ? piece : Buffer.concat([this.unread, piece]);
    for (;;) {
      const over = Math.min(this.skip, data.length);
      data = this.advance(data, over);
      this.skip -= over;
      const used = this.skip > 0 || data.length === 0 ? 0 : this.step(data);
      if (used === 0) break;
      data = this.advance(data, used);
    }
    // A copy, so that the whole piece is not kept for its last bytes.
    this.unread = Buffer.from(data);
  }

  /** @throws Error if the archive is incomplete */
  end(): void {
    if (this.inside || this.skip > 0 || (this.unread.length > 0 && this.rest === undefined)) {
      throw new Error('ends in the middle of an archive');
    }
  }

  private advance(data: Buffer, bytes: number): Buffer {
    this.place += bytes;
    return data.subarray(bytes);
  }

  /** @returns the number of bytes used; 0 if more are needed */
  private step(data: Buffer): number {
    if (!this.inside && data[0] === 0) return zeros(data);
    if (data.length < 6) return 0;
    if (!isMagic(data)) {
      if (this.inside) throw new Error(`no cpio header at byte ${this.place}`);
      this.rest = data;
      return 0;
    }
    if (data.length < headerBytes) return 0;
    const nameBytes = hex(data, 94);
    if (nameBytes < 1 || nameBytes > longestName) throw new Error(`a name of ${nameBytes} bytes`);
    const begin = padded(headerBytes + nameBytes);
    if (data.length < begin) return 0;
    const name = data.toString('latin1', headerBytes, headerBytes + nameBytes - 1).replace(/^(\.?\/)+/, '');
    return this.file(data, name, begin, hex(data, 54));
  }

  private file(data: Buffer, name: string, begin: number, bytes: number): number {
    this.inside = name !== 'TRAILER!!!';
    if (!this.inside) return begin;
    const isKept = bytes <= mostKept && this.isWanted(name);
    if (isKept && data.length < padded(begin + bytes)) return 0;
    const text = isKept ? data.toString('latin1', begin, begin + bytes) : undefined;
    this.found.push({ name, text });
    this.skip = padded(bytes);
    return begin;
  }
}

function zeros(data: Buffer): number {
  let count = 0;
  while (data[count] === 0) count += 1;
  return count;
}

/** The format newc, without and with checksums. */
function isMagic(data: Buffer): boolean {
  const magic = data.toString('latin1', 0, 6);
  return magic === '070701' || magic === '070702';
}

/** A number of eight hexadecimal digits. */
function hex(data: Buffer, at: number): number {
  return parseInt(data.toString('latin1', at, at + 8), 16);
}

/** Rounded up to a multiple of four. */
function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}
