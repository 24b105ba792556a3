import { UsageError } from '../lib/errors.ts';
import { type ProbeKind, probes, runProbes, runWrites } from '../system/probe/probes.ts';
import type { Output } from './output.ts';

/** `probe`, which the agent runs in a child process of its own: a line for each kind, "KIND ANSWER". */
export function probeCommand(output: Output, target: string, kinds: readonly string[]): void {
  if (!target.startsWith('/')) throw new UsageError('probe: the path must be absolute');
  runProbes(kinds.map(known), target, output.stdout);
}

/** `try-writes`, likewise: a line for each path, its answer alone. */
export function tryWritesCommand(output: Output, targets: readonly string[]): void {
  if (!targets.every((target) => target.startsWith('/'))) {
    throw new UsageError('try-writes: the paths must be absolute');
  }
  runWrites(targets, output.stdout);
}

function known(kind: string): ProbeKind {
  if (!Object.hasOwn(probes, kind)) throw new UsageError(`probe: there is no ${kind}`);
  return kind as ProbeKind;
}
