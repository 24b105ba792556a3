import { decodeBytes } from '../format.ts';
import type { Host } from '../host.ts';
import { observe } from './observed.ts';

export interface Identity {
  name: string;
  kernel: string;
  os: string;
  bootId: string;
  /** Whether the agent runs as root. */
  root: boolean;
  /** Seconds since the kernel started. */
  uptime: number;
}

export function identify(host: Host): Identity {
  const { hostname, kernel, uid, seconds } = host.environment();
  const release = observe(() => host.read('/etc/os-release', 65536));
  const bootId = observe(() => host.read('/proc/sys/kernel/random/boot_id').trim());
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
