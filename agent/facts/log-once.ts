import type { SystemReader } from '../system/reader.ts';
import { type Observed, observe, unwrap } from './observed.ts';

/** A host that reads the kernel's log once: it has thousands of records, and each read-only SCSI disk is looked up in it. */
export function logOnce(reader: SystemReader): SystemReader {
  let log: Observed<string[]> | undefined;
  return { ...reader, kernelLog: () => unwrap((log ??= observe(() => reader.kernelLog()))) };
}
