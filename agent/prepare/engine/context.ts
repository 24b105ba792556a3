import type { SystemWriter, Ran } from '../../system/writer.ts';
import type { SystemReader } from '../../system/reader.ts';

/** What executors work with: everything that they change goes through here. */
export interface Doing {
  reader: SystemReader;
  /** For what is undone otherwise, or never: makes no backup and is not in the journal of what was done. */
  writer: SystemWriter;
  /**
   * Replaces a file's text as the action `edit` does: with a backup, so that --undo restores it.
   * @param before what it was planned from; null: no file
   * @throws HostError where something else is there by now
   */
  edit: (file: string, before: string | null, after: string) => Promise<void>;
  /**
   * Runs a program and expects it to succeed.
   * @throws HostError with what it said where it did not exit with 0 or took too long
   */
  run: (program: string, args: readonly string[], options: RunOptions) => Promise<Ran>;
  /** A line for people. */
  say: (text: string) => void;
  /** A line that takes the place of the one before, where stdout is a terminal. */
  progress: (text: string) => void;
}

export interface RunOptions {
  /** It is ended after so long. */
  seconds: number;
  /** Gets what it writes to stdout as it comes, one character a byte. */
  output?: (text: string) => void;
}
