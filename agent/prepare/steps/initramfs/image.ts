import { Readable } from 'node:stream';
import zlib from 'node:zlib';
import { SystemError, errorMessage } from '../../../lib/errors.ts';
import { type SystemReader, namesIfThere } from '../../../system/reader.ts';
import { type CpioFile, CpioReader } from './cpio.ts';

/** The timeout of lsinitrd(1). */
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

/** An installed kernel. */
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
