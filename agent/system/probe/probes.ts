import fs from 'node:fs';
import { errorCode } from '../../lib/errors.ts';
import { tryDevice } from './device.ts';
import { tryExecute, trySetUid } from './run.ts';
import { removeLeftovers } from './unnamed.ts';
import { tryWrite } from './write.ts';

/** What can be tried at a path: each answers with errno's name or a word of its own. */
export const probes = {
  present: (path: string) => (fs.lstatSync(path, { throwIfNoEntry: false }) ? 'YES' : 'NO'),
  write: tryWrite,
  exec: tryExecute,
  suid: trySetUid,
  device: tryDevice,
};

export type ProbeKind = keyof typeof probes;

/**
 * Runs probes one after the other. It outlives a signal, so that nothing is left behind.
 * @param say takes each answer as soon as there is one: a later probe may hang
 */
export function runProbes(kinds: readonly ProbeKind[], path: string, say: (line: string) => void): void {
  outliveSignals();
  if (kinds.includes('exec') || kinds.includes('device')) tidy(path);
  for (const kind of kinds) say(`${kind} ${answer(kind, path)}\n`);
}

/** Writes at one path after the other. @param say as of runProbes */
export function runWrites(paths: readonly string[], say: (line: string) => void): void {
  outliveSignals();
  for (const path of paths) say(`${answer('write', path)}\n`);
}

function outliveSignals(): void {
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
    // The probes themselves will say what is wrong with the folder.
  }
}
