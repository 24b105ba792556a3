import { Readable } from 'node:stream';
import zlib from 'node:zlib';
import { HostError, errorMessage } from '../../../lib/errors.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { type CpioFile, CpioReader } from './cpio.ts';

/** lsinitrd(1) unpacks it with a program of its own. */
const lsinitrdMilliseconds = 120_000;

/**
 * What is in an initramfs. Reads it itself where it is not compressed, or with gzip or zstd, as dracut's are from EL7
 * to EL10: that takes a tenth of the time of lsinitrd, which is asked for the others.
 * @param isWanted whose content is wanted; lsinitrd gives none
 * @throws HostError where it cannot be read
 */
export async function readImage(
  reader: SystemReader,
  file: string,
  isWanted: (name: string) => boolean,
): Promise<CpioFile[]> {
  try {
    return (await readItself(reader, file, isWanted)) ?? (await askLsinitrd(reader, file));
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw new HostError(`${file}: ${errorMessage(error)}`);
  }
}

async function readItself(
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

/** By the first bytes (gzip: RFC 1952, zstd: RFC 8878). */
function unpacker(begin: Buffer): NodeJS.ReadWriteStream | undefined {
  const chunk = { chunkSize: 1024 * 1024 };
  if (begin[0] === 0x1f && begin[1] === 0x8b) return zlib.createGunzip(chunk);
  return begin.readUInt32LE(0) === 0xfd2fb528 ? zlib.createZstdDecompress(chunk) : undefined;
}

/** Names only: the last word of each line of `ls -l`. */
async function askLsinitrd(reader: SystemReader, file: string): Promise<CpioFile[]> {
  const { stdout, ended } = await reader.run('/usr/bin/lsinitrd', [file], lsinitrdMilliseconds);
  if (ended !== 'good') throw new HostError(`${file}: lsinitrd cannot read it`);
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
