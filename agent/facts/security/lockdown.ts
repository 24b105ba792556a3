import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/** Settings that keep root from changing the running kernel; undefined if the kernel does not support the setting. */
export interface Lockdown {
  /** none, integrity or confidentiality (kernel_lockdown(7)). */
  lockdown: string | undefined;
  /** Whether no further modules can be loaded. */
  modulesDisabled: boolean | undefined;
  /** Whether only signed modules can be loaded. */
  signaturesEnforced: boolean | undefined;
  /** Whether kexec cannot load another kernel. */
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

/** Returns undefined if the file does not exist (securityfs may not be mounted) or only root may read it. */
function readIfAllowed(reader: SystemReader, file: string): string | undefined {
  try {
    return reader.readIfPresent(file, 4096);
  } catch (error) {
    if (['EACCES', 'EPERM'].includes(errorCode(error))) return undefined;
    throw error;
  }
}

const file = '/proc/sys/crypto/fips_enabled';

/**
 * Returns whether the kernel runs in FIPS mode (kernel argument fips=1). A kernel without FIPS support does not have the
 * file.
 * @throws Error if the file contains neither 0 nor 1
 */
export function readFipsMode(reader: SystemReader): boolean {
  const text = reader.readIfPresent(file, 64)?.trim() ?? '0';
  if (text !== '0' && text !== '1') throw new Error(`${file} contains '${text}', neither 0 nor 1`);
  return text === '1';
}
