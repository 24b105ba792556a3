import fs from 'node:fs';
import { errorCode } from '../../lib/errors.ts';
import { tryDevice } from './device.ts';
import { tryExecute, trySetUid } from './run.ts';
import { removeLeftovers } from './unnamed.ts';
import { tryWrite } from './write.ts';

/** The probes of a path; each returns errno's name or a word of its own. */
export const probes = {
  present: (path: string) => (fs.lstatSync(path, { throwIfNoEntry: false }) ? 'YES' : 'NO'),
  write: tryWrite,
  exec: tryExecute,
  suid: trySetUid,
  device: tryDevice,
};

export type ProbeKind = keyof typeof probes;

/**
 * Runs probes in turn. Signals are ignored, so that no file stays behind.
 * @param say receives each answer at once, since a later probe may hang
 */
export function runProbes(kinds: readonly ProbeKind[], path: string, say: (line: string) => void): void {
  ignoreSignals();
  if (kinds.includes('exec') || kinds.includes('device')) tidy(path);
  for (const kind of kinds) say(`${kind} ${answer(kind, path)}\n`);
}

/** Tries a write at each path in turn. @param say as for runProbes */
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

function tidy(folder: string): void {
  try {
    removeLeftovers(folder);
  } catch {
    // The probes themselves report the error.
  }
}
