import type { SystemReader } from '../system/reader.ts';
import type { SystemWriter } from '../system/writer.ts';
import type { Output } from './output.ts';

/** Loads the system writer. @param isLabelled whether new files get the SELinux label of the policy (writer.ts) */
export type LoadWriter = (isLabelled?: boolean) => Promise<SystemWriter>;

/** What a command works with. */
export interface Context {
  reader: SystemReader;
  /** Commands that change nothing start faster without the system writer. */
  loadWriter: LoadWriter;
  output: Output;
  /** Receives the exit code. */
  exit: (code: number) => void;
}
