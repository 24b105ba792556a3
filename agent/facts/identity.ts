import { decodeBytes } from '../lib/format.ts';
import type { SystemReader } from '../system/reader.ts';
import { observe } from './observed.ts';

/** The name and versions of the running system, for the report. */
interface Identity {
  name: string;
  kernel: string;
  os: string;
  bootId: string;
  /** Whether the agent runs as root. */
  root: boolean;
  /** Seconds since the kernel started. */
  uptime: number;
}

export function readIdentity(reader: SystemReader): Identity {
  const { hostname, kernel, uid, seconds } = reader.environment();
  const release = observe(() => reader.read('/etc/os-release', 65536));
  const bootId = observe(() => reader.read('/proc/sys/kernel/random/boot_id').trim());
  const pretty = 'value' in release ? /^PRETTY_NAME="?([^"\n]*)/m.exec(release.value)?.[1] : undefined;
  return {
    name: hostname,
    kernel,
    os: decodeBytes(pretty ?? 'unknown'),
    bootId: 'value' in bootId ? bootId.value : '',
    root: uid === 0,
    uptime: seconds,
  };
}
