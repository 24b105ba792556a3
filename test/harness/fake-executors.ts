import { basicExecutors } from '../../agent/prepare/engine/apply.ts';
import type { Executors, Tools } from '../../agent/prepare/engine/context.ts';
import type { SystemReader } from '../../agent/system/reader.ts';
import { systemWriter } from '../../agent/system/writer.ts';

/** Returns the engine's executors, with those that a test replaces; it uses no others. */
export function executorsWith(own: Partial<Executors> = {}): Executors {
  return { ...basicExecutors, ...own } as Executors;
}

export function toolsOf(reader: SystemReader, root: string): Tools {
  return { reader, writer: systemWriter(root), say: () => undefined, progress: () => undefined };
}
