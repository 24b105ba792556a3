import type { SystemReader } from '../../system/reader.ts';
import type { Action, Step } from './step.ts';

/** What a planner returns. */
export type Planned = Omit<Step, 'id'>;

/** What one part of a step has found. The texts are sentences. */
export interface Part {
  actions: Action[];
  /** The reasons for the actions. */
  why: string[];
  /** What only an administrator can change. */
  manual: string[];
  /** Remarks that need no change. */
  notes: string[];
}

export function stepOf(state: Step['state'], why: string[], actions: Action[] = []): Planned {
  return { state, why, actions };
}

/** Puts parts together. */
export function join(...parts: readonly Partial<Part>[]): Part {
  return {
    actions: parts.flatMap(({ actions = [] }) => actions),
    why: parts.flatMap(({ why = [] }) => why),
    manual: parts.flatMap(({ manual = [] }) => manual),
    notes: parts.flatMap(({ notes = [] }) => notes),
  };
}

/**
 * Returns a step that is `needed` if its parts have actions, `by hand` if only an administrator can make a change, and
 * otherwise `done`.
 * @param done returns the reasons for `done`
 */
export function stepFrom(parts: readonly Partial<Part>[], done: () => string[]): Planned {
  const { actions, why, manual, notes } = join(...parts);
  if (actions.length > 0) return stepOf('needed', [...why, ...manual, ...notes], actions);
  if (manual.length > 0) return stepOf('by hand', [...manual, ...notes]);
  return stepOf('done', [...done(), ...notes]);
}

/**
 * Reads a file that an action edits. A link to a file that does not exist is an error, because it is not restored.
 * @param limit the maximum size in bytes; by default that of `SystemReader.read`
 * @returns the `before` of the action: one character per byte, or null if there is no file
 */
export function textBefore(reader: SystemReader, file: string, limit?: number): string | null {
  return reader.stat(file) === undefined ? null : reader.read(file, limit);
}

/** Returns the values if the condition is met, otherwise none. */
export function when<T>(condition: boolean, ...values: T[]): T[] {
  return condition ? values : [];
}
