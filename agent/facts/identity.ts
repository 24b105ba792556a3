import { decodeBytes } from '../lib/format.ts';
import type { SystemReader } from '../system/reader.ts';
import { observe, valueOf } from './observed.ts';

/** Returns the name and versions of the running system, for the report. */
export function readIdentity(reader: SystemReader) {
  const { hostname, kernel, uid, seconds } = reader.environment();
  const release = observe(() => reader.read('/etc/os-release', 65536));
  const bootId = observe(() => reader.read('/proc/sys/kernel/random/boot_id').trim());
  const pretty = /^PRETTY_NAME="?([^"\n]*)/m.exec(valueOf(release) ?? '')?.[1];
  return {
    name: hostname,
    kernel,
    os: decodeBytes(pretty ?? 'unknown'),
    bootId: valueOf(bootId) ?? '',
    /** Whether the agent runs as root. */
    root: uid === 0,
    /** Seconds since the kernel started. */
    uptime: seconds,
  };
}

/**
 * Returns the accounts in /etc/passwd (passwd(5)), one character per byte (latin1). Missing fields are empty. Without the
 * file, or for an empty line, all fields of an account are empty.
 * @throws SystemError if the file cannot be read
 */
export function readAccounts(reader: SystemReader) {
  const text = reader.readIfPresent('/etc/passwd', 1024 * 1024) ?? '';
  return text.split('\n').map((line) => {
    const [name = '', , uid = '', gid = '', , home = '', shell = ''] = line.split(':');
    return { name, uid, gid, home, shell };
  });
}
