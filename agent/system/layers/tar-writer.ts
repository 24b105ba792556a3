import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setImmediate as yieldToEvents } from 'node:timers/promises';
import { pack } from 'tar-stream';
import type { ExportTarget } from './export-file.ts';

/** A member of a tar file without content of its own. */
export interface Member {
  /** Valid Unicode. */
  name: string;
  type: 'file' | 'directory' | 'symlink' | 'fifo' | 'character-device' | 'block-device';
  mode: number;
  uid: number;
  gid: number;
  /** In nanoseconds since the epoch. */
  mtime: bigint;
  linkname?: string;
  /** "MAJOR:MINOR". */
  device?: string;
  /** Extended attributes whose values are valid UTF-8. */
  xattrs?: ReadonlyMap<string, string>;
}

const block = 512;

/** The bytes that a member takes besides its content, as an upper bound: headers of tar and pax. */
export const memberOverhead = 8 * block;

/** Writes a tar file in pax format (pax(1)) as a stream, in limited memory. */
export type TarWriter = ReturnType<typeof tarWriter>;

export function tarWriter(target: ExportTarget) {
  const stream = pack();
  let written = 0;
  let failed: Error | undefined;
  const drain = async () => {
    for await (const part of stream as AsyncIterable<Buffer>) {
      // The error is kept before the loop ends, because its end destroys the stream with another error.
      await target.write(part).catch((error: unknown) => {
        failed = asError(error);
        throw failed;
      });
      written += part.length;
    }
  };
  const drained = drain().catch((error: unknown) => {
    failed ??= asError(error);
    stream.destroy(failed);
  });
  const throwIfFailed = () => {
    if (failed !== undefined) throw failed;
  };
  /** Runs an action on the stream. If a write to the target has failed, throws that error instead. */
  const checked = async <T>(action: () => Promise<T>): Promise<T> => {
    const result = await action().catch((error: unknown) => {
      throw failed ?? error;
    });
    // Let the stream drain, so that many small members do not accumulate.
    await yieldToEvents();
    throwIfFailed();
    return result;
  };
  const entry = (member: Member, size: number, callback?: (error?: Error | null) => void) =>
    stream.entry({ ...headerOf(member), size }, callback ?? (() => undefined));
  const addFile = (member: Member, size: number, content: AsyncIterable<Buffer>) =>
    checked(async (): Promise<{ sha256: string; bytes: number }> => {
      const hash = createHash('sha256');
      let bytes = 0;
      const done = new Promise<void>((resolve, reject) => {
        const sink = entry(member, size, (error) => (error ? reject(error) : resolve()));
        const write = async (piece: Buffer) => {
          if (!sink.write(piece)) await Promise.race([once(sink, 'drain'), once(sink, 'close')]);
          throwIfFailed();
        };
        const copy = async () => {
          if (size === 0) {
            sink.end(null);
            return;
          }
          for await (const piece of content) {
            const fitting = piece.subarray(0, size - bytes);
            hash.update(fitting);
            bytes += fitting.length;
            await write(fitting);
          }
          for (let missing = size - bytes; missing > 0; missing -= padding.length)
            await write(padding.subarray(0, missing));
          sink.end(null);
        };
        copy().catch((error: unknown) => {
          sink.destroy(asError(error));
          reject(asError(error));
        });
      });
      await done;
      return { sha256: hash.digest('hex'), bytes };
    });
  return {
    /** The number of bytes that were written, with those that the end of the file takes. */
    get bytes(): number {
      return written + 2 * block;
    },
    /** Adds a member without content. */
    add: (member: Member): Promise<void> =>
      checked(
        () =>
          new Promise<void>((resolve, reject) => {
            entry(member, 0, (error) => (error ? reject(error) : resolve()));
          }),
      ),
    /** Adds a file with a text. @returns the SHA-256 of the text */
    addText: async (name: string, text: string | Buffer, now: Date): Promise<string> => {
      const bytes = Buffer.from(text);
      const mtime = BigInt(now.getTime()) * 1_000_000n;
      const member: Member = { name, type: 'file', mode: 0o600, uid: 0, gid: 0, mtime };
      return (await addFile(member, bytes.length, pieceOf(bytes))).sha256;
    },
    /**
     * Adds a file from a stream. Pads the content with null bytes if the stream ends early.
     * @returns the SHA-256 of the content, and the number of bytes of the stream
     */
    addFile,
    end: (): Promise<void> =>
      checked(async () => {
        stream.finalize();
        await drained;
      }),
    /** Ends without completing the file. */
    destroy: (): void => stream.destroy(new Error('the export was abandoned')),
  };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

const padding = Buffer.alloc(65536);

async function* pieceOf(bytes: Buffer): AsyncGenerator<Buffer, void> {
  yield await Promise.resolve(bytes);
}

/** The greatest number in an octal field of six digits. */
const largestId = 0o777777;

/** Returns the header for tar-stream, with a pax record for each value that the classic header cannot hold. */
function headerOf(member: Member): Parameters<ReturnType<typeof pack>['entry']>[0] {
  const { mtime, device, xattrs, ...header } = member;
  const [devmajor = 0, devminor = 0] = (device ?? '').split(':').map(Number);
  const pax: Record<string, string> = { mtime: paxTime(mtime) };
  for (const id of ['uid', 'gid'] as const) {
    if (header[id] > largestId) pax[id] = String(header[id]);
    header[id] = Math.min(header[id], largestId);
  }
  for (const [key, value] of xattrs ?? []) pax[`SCHILY.xattr.${key}`] = value;
  const seconds = Math.max(0, Math.min(Number(mtime / 1_000_000_000n), 0x7fffffff));
  const numbers = device === undefined ? {} : { devmajor, devminor };
  return { ...header, mtime: new Date(seconds * 1000), ...numbers, pax };
}

/** Formats nanoseconds as decimal seconds, as in a pax record. */
function paxTime(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? '-' : '';
  const value = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  return `${sign}${value / 1_000_000_000n}.${(value % 1_000_000_000n).toString().padStart(9, '0')}`;
}
