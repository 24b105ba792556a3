import fs from 'node:fs';
import { errorCode } from '../lib/errors.ts';

/**
 * Writes to stdout or stderr, synchronously where possible. Node's process.stdout is avoided because it loads the
 * network stack in case stdout is a socket, which takes 6 ms, a quarter of the program's start.
 */
export function outputTo(fd: 1 | 2) {
  let stream: NodeJS.WriteStream | undefined;
  return {
    /**
     * Writes a text.
     * @throws the system's error (a full disk), except if the reader has closed the pipe (`status | head -1`)
     */
    write: (text: string): void => {
      const rest = stream === undefined ? writeSync(fd, Buffer.from(text)) : Buffer.from(text);
      if (rest.length === 0) return;
      // The pipe is non-blocking and full, so Node's stream is used to wait for it.
      stream ??= waitingStream(fd);
      stream.write(rest);
    },
    /** Waits until everything is written, because a pipe that another process made non-blocking may be full. */
    flush: (): Promise<void> =>
      new Promise((resolve) => {
        if (stream === undefined) resolve();
        // The callback is also called with an error, if the reader has closed the pipe.
        else stream.write('', () => resolve());
      }),
  };
}

/** Writes bytes. @returns the bytes that did not fit into a full non-blocking pipe */
function writeSync(fd: number, bytes: Buffer): Buffer {
  let rest = bytes;
  try {
    while (rest.length > 0) rest = rest.subarray(fs.writeSync(fd, rest));
  } catch (error) {
    if (errorCode(error) === 'EAGAIN') return rest;
    if (errorCode(error) !== 'EPIPE') throw error;
  }
  return Buffer.alloc(0);
}

function waitingStream(fd: 1 | 2): NodeJS.WriteStream {
  const stream = fd === 1 ? process.stdout : process.stderr;
  // Ignore that the reader has closed the pipe.
  stream.on('error', () => undefined);
  return stream;
}

/** Calls isatty(3). Loads node:tty only for character devices other than memory devices such as /dev/null. */
export function isTerminal(fd: number): boolean {
  const stat = fs.fstatSync(fd);
  const memoryDevice = 1;
  if (!stat.isCharacterDevice() || stat.rdev >> 8 === memoryDevice) return false;
  return process.getBuiltinModule('node:tty').isatty(fd);
}
