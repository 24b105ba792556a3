import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { SystemError, hasCode, onFile, unless } from '../lib/errors.ts';

/**
 * The first and the longest interval between attempts, in milliseconds; each is twice the one before. The kernel does not report
 * a port as readable while the host is away.
 */
const [shortest, longestInterval] = [1, 50];
/** Upper bound on a line, in bytes. */
const longest = 64 * 1024;

export interface Port {
  /** Writes a text, which may be empty, and returns the next line. @throws SystemError at the deadline */
  ask: (text: string) => Promise<string>;
  close: () => void;
}

/**
 * Opens a virtio-serial port, which only one process can open at a time.
 * @param milliseconds the time until which every line must have arrived
 * @throws SystemError ENOENT without the port, EBUSY if another process keeps it open
 */
export async function openPort(file: string, milliseconds: number): Promise<Port> {
  const deadline = performance.now() + milliseconds;
  const attempt = async <Result>(what: string, action: () => Result | undefined): Promise<Result> => {
    for (let interval = shortest; ; interval = Math.min(2 * interval, longestInterval)) {
      const result = onFile(file, action);
      if (result !== undefined) return result;
      if (performance.now() > deadline)
        throw new SystemError(`${file}: ${what} within ${milliseconds / 1000} s`);
      await sleep(interval);
    }
  };
  const { O_RDWR, O_NONBLOCK, O_NOCTTY } = fs.constants;
  const fd = await attempt('another process has it open, and did not close it', () =>
    unlessBusy(() => fs.openSync(file, O_RDWR | O_NONBLOCK | O_NOCTTY)),
  );
  let received = Buffer.alloc(0);
  const write = async (text: string) => {
    let rest = Buffer.from(text);
    while (rest.length > 0) {
      const written = await attempt('the host did not read', () => unlessBusy(() => fs.writeSync(fd, rest)));
      rest = rest.subarray(written);
    }
  };
  const buffer = Buffer.alloc(longest);
  // Returns undefined when there is nothing more to read.
  const takeLine = (): string | undefined => {
    for (;;) {
      const end = received.indexOf('\n');
      if (end >= 0) {
        const line = received.subarray(0, end).toString('utf8');
        received = received.subarray(end + 1);
        return line;
      }
      if (received.length > longest) throw new SystemError('the host sent a line that is too long');
      // 0 while no program of the host is connected.
      const count = unlessBusy(() => fs.readSync(fd, buffer)) ?? 0;
      if (count === 0) return undefined;
      received = Buffer.concat([received, buffer.subarray(0, count)]);
    }
  };
  return {
    ask: async (text) => {
      await write(text);
      return attempt('the host did not answer', takeLine);
    },
    close: () => fs.closeSync(fd),
  };
}

/** Returns undefined if the operation would have to wait. */
const unlessBusy = <Result>(action: () => Result): Result | undefined =>
  unless(hasCode('EAGAIN', 'EBUSY', 'EPIPE'), action);
