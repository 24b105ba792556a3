import fs from 'node:fs';
import { errorCode } from '../../lib/errors.ts';
import { tryDevice } from './device.ts';
import { tryExecute, trySetUid } from './run.ts';
import { removeLeftovers } from './unnamed.ts';
import { tryWrite } from './write.ts';

/** The probes of a path. Each returns the name of an error code or a keyword of the probe. */
export const probes = {
  present: (path: string) => (fs.lstatSync(path, { throwIfNoEntry: false }) ? 'YES' : 'NO'),
  write: tryWrite,
  exec: tryExecute,
  suid: trySetUid,
  device: tryDevice,
};

export type ProbeKind = keyof typeof probes;

/**
 * Runs probes one after another. Ignores signals, so that no file is left behind.
 * @param say receives each answer immediately, because a later probe may hang
 */
export function runProbes(kinds: readonly ProbeKind[], path: string, say: (line: string) => void): void {
  ignoreSignals();
  if (kinds.includes('exec') || kinds.includes('device')) tidy(path);
  for (const kind of kinds) say(`${kind} ${answer(kind, path)}\n`);
}

/** Tries to write at each path, one after another. @param say as for runProbes */
export function runWrites(paths: readonly string[], say: (line: string) => void): void {
  ignoreSignals();
  for (const path of paths) say(`${answer('write', path)}\n`);
}

function ignoreSignals(): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGPIPE'] as const)
    process.on(signal, () => undefined);
}

function answer(kind: ProbeKind, path: string): string {
  try {
    return probes[kind](path);
  } catch (error) {
    return errorCode(error) || 'failed';
  }
}

function tidy(directory: string): void {
  try {
    removeLeftovers(directory);
  } catch {
    // The probes themselves report the error.
  }
}
