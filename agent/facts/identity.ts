import { decodeBytes } from '../lib/format.ts';
import type { SystemReader } from '../system/reader.ts';
import { observe, valueOf } from './observed.ts';

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
  const pretty = /^PRETTY_NAME="?([^"\n]*)/m.exec(valueOf(release) ?? '')?.[1];
  return {
    name: hostname,
    kernel,
    os: decodeBytes(pretty ?? 'unknown'),
    bootId: valueOf(bootId) ?? '',
    root: uid === 0,
    uptime: seconds,
  };
}

/** A line of /etc/passwd (passwd(5)), one character per byte (latin1). A missing field is empty. */
interface Account {
  name: string;
  uid: string;
  gid: string;
  home: string;
  shell: string;
}

/** Returns the local accounts; none if there is no file. @throws SystemError if it cannot be read */
export function readAccounts(reader: SystemReader): Account[] {
  const text = reader.readIfPresent('/etc/passwd', 1024 * 1024) ?? '';
  return text.split('\n').map((line) => {
    const [name = '', , uid = '', gid = '', , home = '', shell = ''] = line.split(':');
    return { name, uid, gid, home, shell };
  });
}
