import fs from 'node:fs';
import { errorCode } from '../lib/errors.ts';

export interface StandardOutput {
  /**
   * Writes a text.
   * @throws errno's (a full disk), but not if the reader has closed the pipe (`status | head -1`)
   */
  write: (text: string) => void;
  /** Resolves when everything is written: a pipe that another process made non-blocking may be full. */
  flush: () => Promise<void>;
}

/**
 * stdout or stderr, written synchronously wherever that is possible. Node's own process.stdout loads the network stack,
 * for the case of a socket: 6 ms, a quarter of the program's start.
 * @param fd 1 or 2
 */
export function outputTo(fd: 1 | 2): StandardOutput {
  let stream: NodeJS.WriteStream | undefined;
  return {
    write: (text) => {
      const rest = stream === undefined ? writeSync(fd, Buffer.from(text)) : Buffer.from(text);
      if (rest.length === 0) return;
      // The pipe is non-blocking and full: Node's stream waits for it.
      stream ??= waitingStream(fd);
      stream.write(rest);
    },
    flush: () =>
      new Promise((resolve) => {
        if (stream === undefined) resolve();
        // Called with an error, too, if the reader has closed the pipe.
        else stream.write('', () => resolve());
      }),
  };
}

/** @returns what did not fit into a full non-blocking pipe */
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
  // The reader has closed the pipe.
  stream.on('error', () => undefined);
  return stream;
}

/** isatty(3). Its module is loaded only for a device that is not /dev/null and its like. */
export function isTerminal(fd: number): boolean {
  const stat = fs.fstatSync(fd);
  const memoryDevice = 1;
  if (!stat.isCharacterDevice() || stat.rdev >> 8 === memoryDevice) return false;
  return process.getBuiltinModule('node:tty').isatty(fd);
}
