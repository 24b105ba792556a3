import { basicExecutors } from '../../agent/prepare/engine/apply.ts';
import type { Executors } from '../../agent/prepare/engine/context.ts';

const unexpected = {
  execute: () => {
    throw new Error('no test has this action');
  },
};

/** Returns the engine's executors, with those that a test replaces. */
export function executorsWith(own: Partial<Executors> = {}): Executors {
  return {
    ...basicExecutors,
    'partition-home': unexpected,
    'format-home': unexpected,
    'copy-home': unexpected,
    'verify-home': unexpected,
    'cutover-home': unexpected,
    'clear-home-marker': unexpected,
    'purge-home': unexpected,
    'copy-state': unexpected,
    'verify-state': unexpected,
    'switch-state': unexpected,
    'clear-state': unexpected,
    'purge-state': unexpected,
    ...own,
  };
}

export const silent = { say: () => undefined, progress: () => undefined };
