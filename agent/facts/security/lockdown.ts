import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/** The restrictions on root's changes of the running kernel; undefined if this kernel has no such setting. */
export interface Lockdown {
  /** none, integrity or confidentiality (kernel_lockdown(7)). */
  lockdown: string | undefined;
  /** No further modules can be loaded. */
  modulesDisabled: boolean | undefined;
  /** Only signed modules can be loaded. */
  signaturesEnforced: boolean | undefined;
  /** kexec cannot start another kernel. */
  kexecDisabled: boolean | undefined;
}

export function findLockdown(reader: SystemReader): Lockdown {
  return {
    lockdown: /\[(\w+)\]/.exec(readIfAllowed(reader, '/sys/kernel/security/lockdown') ?? '')?.[1],
    modulesDisabled: isOn(readIfAllowed(reader, '/proc/sys/kernel/modules_disabled')),
    signaturesEnforced: isOn(readIfAllowed(reader, '/sys/module/module/parameters/sig_enforce')),
    kexecDisabled: isOn(readIfAllowed(reader, '/proc/sys/kernel/kexec_load_disabled')),
  };
}

function isOn(text: string | undefined): boolean | undefined {
  return text === undefined ? undefined : /^(1|Y)/.test(text);
}

/** undefined also if the file is not readable: securityfs may not be mounted, or readable only by root. */
function readIfAllowed(reader: SystemReader, file: string): string | undefined {
  try {
    return reader.readIfPresent(file, 4096);
  } catch (error) {
    if (['EACCES', 'EPERM'].includes(errorCode(error))) return undefined;
    throw error;
  }
}
