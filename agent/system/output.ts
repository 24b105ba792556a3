import fs from 'node:fs';
import { errorCode } from '../lib/errors.ts';

/**
 * Node's own process.stdout loads the network stack, for what may be a socket: 6 ms, a quarter of the program's start.
 *
 * @param fd 1 or 2
 * @returns writes a text whole before it returns; throws errno's (a full disk), but not where the reader went away
 *     (`status | head -1`)
 */
export function outputTo(fd: 1 | 2): (text: string) => void {
  let stream: NodeJS.WriteStream | undefined;
  return (text) => {
    const rest = stream === undefined ? writeWhole(fd, Buffer.from(text)) : Buffer.from(text);
    if (rest.length === 0) return;
    // A pipe that somebody else made non-blocking and that is full: Node's stream waits for it.
    stream ??= waitingStream(fd);
    stream.write(rest);
  };
}

/** @returns what did not go into a full pipe */
function writeWhole(fd: number, bytes: Buffer): Buffer {
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
  stream.on('error', () => undefined);
  return stream;
}

/** isatty(3), which is only loaded for a device: not a regular file, a pipe, a socket, or /dev/null and its like. */
export function isTerminal(fd: number): boolean {
  const stat = fs.fstatSync(fd);
  const memoryDevice = 1;
  if (!stat.isCharacterDevice() || stat.rdev >> 8 === memoryDevice) return false;
  return process.getBuiltinModule('node:tty').isatty(fd);
}
