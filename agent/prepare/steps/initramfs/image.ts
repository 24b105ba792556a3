import zlib from 'node:zlib';
import { Readable } from 'node:stream';
import { SystemError, errorMessage } from '../../../lib/errors.ts';
import { namesIfThere } from '../../../system/names.ts';
import type { SystemReader } from '../../../system/reader.ts';

const lsinitrdMilliseconds = 120_000;

/**
 * Lists the files of an initramfs. Images that are uncompressed, or compressed with gzip or zstd (dracut's defaults
 * from EL7 to EL10), are read directly, in a tenth of the time that lsinitrd takes. All other images are read with
 * lsinitrd.
 * @param isWanted whether to keep the content of a file with this name; content is not available with lsinitrd
 * @throws SystemError if the image cannot be read
 */
export async function readImage(
  reader: SystemReader,
  file: string,
  isWanted: (name: string) => boolean,
): Promise<CpioFile[]> {
  try {
    return (await readDirectly(reader, file, isWanted)) ?? (await readWithLsinitrd(reader, file));
  } catch (error) {
    if (error instanceof SystemError) throw error;
    throw new SystemError(`${file}: ${errorMessage(error)}`);
  }
}

async function readDirectly(
  reader: SystemReader,
  file: string,
  isWanted: (name: string) => boolean,
): Promise<CpioFile[] | undefined> {
  const outer = new CpioReader(isWanted);
  const pieces = reader.pieces(file)[Symbol.iterator]();
  for (;;) {
    const next = pieces.next();
    if (next.done === true) break;
    outer.write(next.value);
    const { rest } = outer;
    if (rest === undefined) continue;
    const unpack = unpacker(rest);
    if (unpack === undefined) return undefined;
    const inner = new CpioReader(isWanted);
    for await (const piece of Readable.from(following(rest, pieces)).pipe(unpack))
      inner.write(piece as Buffer);
    if (inner.rest !== undefined) return undefined;
    inner.end();
    return [...outer.found, ...inner.found];
  }
  outer.end();
  return outer.found;
}

function* following(first: Buffer, others: Iterator<Buffer>): Generator<Buffer> {
  yield first;
  for (let next = others.next(); next.done !== true; next = others.next()) yield next.value;
}

/** Selects the decompressor by the magic number (gzip: RFC 1952, zstd: RFC 8878). */
function unpacker(begin: Buffer): NodeJS.ReadWriteStream | undefined {
  const chunk = { chunkSize: 1024 * 1024 };
  if (begin[0] === 0x1f && begin[1] === 0x8b) return zlib.createGunzip(chunk);
  return begin.readUInt32LE(0) === 0xfd2fb528 ? zlib.createZstdDecompress(chunk) : undefined;
}

/** Lists only the names of files, from the last field of lines in the format of `ls -l`. */
async function readWithLsinitrd(reader: SystemReader, file: string): Promise<CpioFile[]> {
  const { stdout, ended } = await reader.run('/usr/bin/lsinitrd', [file], lsinitrdMilliseconds);
  if (ended !== 'good') throw new SystemError(`${file}: lsinitrd cannot read it`);
  return stdout
    .split('\n')
    .filter((line) => /^[-dlcbps][rwxsStT-]{9}/.test(line))
    .map((line) => ({
      name: line
        .replace(/ -> .*$/, '')
        .replace(/^.* /, '')
        .replace(/^(\.?\/)+/, ''),
      text: undefined,
    }));
}

export interface Kernel {
  version: string;
  /** The path of its initramfs, whether it exists or not. */
  image: string;
}

/** Lists the installed kernels, without the rescue kernel, whose generic image dracut never regenerates. */
export function installedKernels(reader: SystemReader): Kernel[] {
  const boot = namesIfThere(reader, '/boot');
  const inBoot = boot.flatMap((name) => /^vmlinuz-(.+)$/.exec(name)?.[1] ?? []);
  const inModules = namesIfThere(reader, '/usr/lib/modules').filter(
    (name) => reader.stat(`/usr/lib/modules/${name}/vmlinuz`) !== undefined,
  );
  return [...new Set([...inBoot, ...inModules])]
    .filter((version) => !version.startsWith('0-rescue'))
    .map((version) => {
      const debian = `initrd.img-${version}`;
      const redHat = `initramfs-${version}.img`;
      return { version, image: `/boot/${!boot.includes(redHat) && boot.includes(debian) ? debian : redHat}` };
    });
}

/**
 * Whether the initramfs of a kernel has old modules. depmod(8) writes modules.dep after every change of a kernel's
 * modules, so modules.dep is compared with the image, by modification time, which relabelling and renaming do not
 * change. If modules.dep has a time in the future (the clock was set back), it is ignored, because a new image would
 * not be newer either.
 */
export function isOlderThanModules(reader: SystemReader, { version, image }: Kernel): boolean {
  const modules = reader.stat(`/usr/lib/modules/${version}/modules.dep`)?.modified ?? 0;
  const made = reader.stat(image)?.modified ?? Infinity;
  return modules > made && modules <= reader.now().getTime();
}

export interface CpioFile {
  /** Without a leading "./" or "/". */
  name: string;
  /** The content, one character per byte; undefined if it was not kept. */
  text: string | undefined;
}

const headerBytes = 110;
const longestName = 4096;
/** The maximum size of a file whose content is kept. immutafs-boot has about 2 MB. */
const mostKept = 8 * 1024 * 1024;

/**
 * Reads a sequence of cpio archives in the format newc (cpio(5)), with zeros between them, like the kernel
 * (Documentation/driver-api/early-userspace/buffer-format.rst). The input arrives in pieces, and only the current piece
 * is in memory.
 */
export class CpioReader {
  private unread: Buffer = Buffer.alloc(0);
  private skip = 0;
  private place = 0;
  readonly found: CpioFile[] = [];
  /** Data at the position of an archive that is not a cpio archive, for example a compressed archive. */
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
    // A copy, because a part of the piece would keep the whole piece in memory.
    this.unread = Buffer.from(data);
  }

  /** Ends the input. @throws Error if the last archive is incomplete */
  end(): void {
    if (this.inside || this.skip > 0 || (this.unread.length > 0 && this.rest === undefined)) {
      throw new Error('ends in the middle of an archive');
    }
  }

  private advance(data: Buffer, bytes: number): Buffer {
    this.place += bytes;
    return data.subarray(bytes);
  }

  /** Processes the next header or zeros. @returns the number of bytes processed; 0 if more data is needed */
  private step(data: Buffer): number {
    if (!this.inside && data[0] === 0) return zeros(data);
    if (data.length < 6) return 0;
    // The magic number of the format newc, without or with checksums.
    if (!['070701', '070702'].includes(data.toString('latin1', 0, 6))) {
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

/** Parses a number of eight hexadecimal digits. */
function hex(data: Buffer, at: number): number {
  return parseInt(data.toString('latin1', at, at + 8), 16);
}

/** Rounds up to a multiple of four. */
function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}
