import { UsageError } from '../lib/errors.ts';
import { type ProbeKind, probes, runProbes, runWrites } from '../system/probe/probes.ts';
import type { Output } from './output.ts';

/** Runs `probe`, which the agent starts as a child process. Prints a line "KIND ANSWER" for each kind. */
export function probeCommand(output: Output, target: string, kinds: readonly string[]): void {
  if (!target.startsWith('/')) throw new UsageError('probe: the path must be absolute');
  runProbes(kinds.map(known), target, output.stdout);
}

/** Runs `try-writes`, which the agent starts as a child process. Prints a line with the answer for each path. */
export function tryWritesCommand(output: Output, targets: readonly string[]): void {
  if (!targets.every((target) => target.startsWith('/'))) {
    throw new UsageError('try-writes: the paths must be absolute');
  }
  runWrites(targets, output.stdout);
}

function known(kind: string): ProbeKind {
  if (!Object.hasOwn(probes, kind)) throw new UsageError(`probe: unknown kind ${kind}`);
  return kind as ProbeKind;
}
