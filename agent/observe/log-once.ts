import type { Host } from '../host.ts';
import { type Observed, observe, seen } from './observed.ts';

/** A host that reads the kernel's log once: it has thousands of records, and each read-only SCSI disk is looked up in it. */
export function logOnce(host: Host): Host {
  let log: Observed<string[]> | undefined;
  return { ...host, kernelLog: () => seen((log ??= observe(() => host.kernelLog()))) };
}
