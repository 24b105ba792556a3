import { stateRuleOf } from '../../services/state-rules.ts';
import { persistItemWith } from './places.ts';

/** Returns the item of PERSIST for a path (persistItem), with the options that the table of services has for the path. */
export function persistItemOf(path: string): string {
  return persistItemWith(path, stateRuleOf(path)?.options ?? '');
}
