/**
 * Is loaded into the agent before its own modules, and kills it (SIGKILL) when it has reached a point for the N-th time:
 * IMMUTAFS_KILL_AT="POINT N".
 */
import fs from 'node:fs';
import net from 'node:net';

/** The points: before and after messages are written to the connection, and around the rename of the checkpoint. */
export type Point = 'sending' | 'sent' | 'saving' | 'saved';

const [wanted = '', times] = (process.env['IMMUTAFS_KILL_AT'] ?? '').split(' ');
let left = Number(times);

function reached(point: Point): void {
  if (point === wanted && (left -= 1) === 0) process.kill(process.pid, 'SIGKILL');
}

const { write } = net.Socket.prototype;
net.Socket.prototype.write = function (this: net.Socket, ...args: unknown[]): boolean {
  reached('sending');
  const taken = (write as (...args: unknown[]) => boolean).apply(this, args);
  reached('sent');
  return taken;
};

const { renameSync } = fs;
fs.renameSync = (from, to) => {
  const isCheckpoint = String(to).endsWith('/cursor');
  if (isCheckpoint) reached('saving');
  renameSync(from, to);
  if (isCheckpoint) reached('saved');
};
