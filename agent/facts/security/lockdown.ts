import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/** What keeps root from changing the running kernel; undefined where this kernel has no such thing. */
export interface Lockdown {
  /** none, integrity or confidentiality (kernel_lockdown(7)). */
  lockdown: string | undefined;
  /** No more modules can be loaded. */
  modulesDisabled: boolean | undefined;
  /** Only signed modules are. */
  signaturesEnforced: boolean | undefined;
  /** No other kernel can be started from this one. */
  kexecDisabled: boolean | undefined;
}

export function findLockdown(reader: SystemReader): Lockdown {
  return {
    lockdown: /\[(\w+)\]/.exec(optional(reader, '/sys/kernel/security/lockdown') ?? '')?.[1],
    modulesDisabled: yes(optional(reader, '/proc/sys/kernel/modules_disabled')),
    signaturesEnforced: yes(optional(reader, '/sys/module/module/parameters/sig_enforce')),
    kexecDisabled: yes(optional(reader, '/proc/sys/kernel/kexec_load_disabled')),
  };
}

function yes(text: string | undefined): boolean | undefined {
  return text === undefined ? undefined : /^(1|Y)/.test(text);
}

/** securityfs is not mounted everywhere, nor readable by everyone; then the kernel has not said anything. */
function optional(reader: SystemReader, file: string): string | undefined {
  try {
    return reader.read(file, 4096);
  } catch (error) {
    if (['ENOENT', 'EACCES', 'EPERM'].includes(errorCode(error))) return undefined;
    throw error;
  }
}
