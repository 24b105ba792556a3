import { formatBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { namesIfThere } from '../engine/snapshot.ts';

/** The unit of sizes in auditd.conf(5): auditd counts in 1024 x 1024 bytes (auditd-event.c, MEGABYTE). */
const megabyte = 1024 ** 2;
const file = '/etc/audit/auditd.conf';

/** The settings of auditd.conf(5) about disk space. The defaults are those of auditd. */
export interface AuditSpace {
  logFile: string;
  /** Whether auditd writes a log. */
  writesLogs: boolean;
  /** The size to which auditd's own logs can grow, in bytes; Infinity if there is no limit. */
  logBytes: number;
  limits: { name: string; text: string; bytes: (fileSystem: number) => number; action: string }[];
}

/**
 * The actions of auditd that stop logging or the guest when the free space is below a limit, with their consequences.
 */
const consequences: Record<string, string> = {
  suspend: 'auditd stops writing audit records',
  single: 'auditd takes the guest to single-user mode',
  halt: 'auditd powers the guest off',
  exec: 'auditd stops writing audit records and runs a program',
  email: 'auditd starts a mailer, which the next shutdown waits for',
};

/**
 * Finds limits of auditd that the upper layer of /var will reach, at every boot or when auditd's logs have grown. For
 * example, with HALT a guest whose layer is smaller than admin_space_left is powered off during every boot (measured).
 * @param layer the maximum size of the upper layer of /var, in bytes
 * @param used the bytes of the layer that are in use soon after the boot
 * @param isInLayer whether a path will be in the layer
 * @returns one sentence for each limit, and one with the solution; empty if no limit is reached
 */
export function auditProblems(
  reader: SystemReader,
  layer: number,
  used: number,
  isInLayer: (path: string) => boolean,
): string[] {
  const text = reader.readIfPresent(file);
  if (text === undefined || !isEnabled(reader)) return [];
  const space = parseAuditSpace(text);
  if (!space.writesLogs || !isInLayer(space.logFile)) return [];
  const reached = space.limits.filter(
    ({ action, bytes }) =>
      Object.hasOwn(consequences, action) && layer - used - space.logBytes < bytes(layer),
  );
  if (reached.length === 0) return [];
  return [...reached.map((limit) => reason(limit, space, layer, used)), advice(reached, space, layer, used)];
}

/** Whether auditd.service is enabled, that is, linked in a .wants or .requires folder (systemctl(1), enable). */
function isEnabled(reader: SystemReader): boolean {
  return namesIfThere(reader, '/etc/systemd/system')
    .filter((name) => name.endsWith('.wants') || name.endsWith('.requires'))
    .some((name) => namesIfThere(reader, `/etc/systemd/system/${name}`).includes('auditd.service'));
}

function reason(
  { name, text, bytes, action }: AuditSpace['limits'][number],
  { logBytes }: AuditSpace,
  layer: number,
  used: number,
): string {
  const free = layer - used;
  const when =
    free < bytes(layer)
      ? `the layer of /var has ${formatBytes(Math.max(0, free))} free, so that at every boot`
      : Number.isFinite(logBytes)
        ? `auditd's own logs may grow to ${formatBytes(logBytes)} in a layer of ${formatBytes(layer)}, and then`
        : `max_log_file_action sets no limit for auditd's own logs, and when they have filled the layer`;
  return `${file} has ${name} = ${text} and ${name}_action = ${action.toUpperCase()}: ${when} ${consequences[action] ?? ''}.`;
}

function advice(
  reached: AuditSpace['limits'],
  { logBytes }: AuditSpace,
  layer: number,
  used: number,
): string {
  const lower = `lower ${reached.map(({ name }) => name).join(' and ')} in ${file}`;
  if (!Number.isFinite(logBytes)) {
    return `Set max_log_file_action = ROTATE, with a num_logs x max_log_file that fits into the layer; if that is not enough, ${lower}.`;
  }
  const shares = reached.map(({ bytes }) => bytes(layer) / layer);
  const isShare = reached.some(({ text }) => text.includes('%'));
  const most = Math.max(...reached.map(({ bytes }) => bytes(layer)));
  const needed = isShare
    ? (used + logBytes) / (1 - Math.min(0.99, Math.max(...shares)))
    : used + logBytes + most;
  const size = `${Math.ceil(needed / megabyte)}m`;
  return `Set VAR_SIZE=${size} or more in /etc/immutafs/immutafs.conf, or ${lower}, or lower num_logs or max_log_file.`;
}

/** Parses auditd.conf(5): "key = value" lines and # comments. Keys and keywords are case-insensitive. */
export function parseAuditSpace(text: string): AuditSpace {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, key = '', value = ''] = /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (key !== '') values.set(key.toLowerCase(), value);
  }
  const get = (key: string, otherwise: string) => values.get(key) ?? otherwise;
  const word = (key: string, otherwise: string) => get(key, otherwise).split(/\s+/)[0]?.toLowerCase() ?? '';
  const limit = (name: string, otherwise: string) => {
    const amount = get(name, otherwise);
    const number = parseInt(amount, 10) || 0;
    const isShare = amount.endsWith('%');
    return {
      name,
      text: amount,
      bytes: (fileSystem: number) => (isShare ? (fileSystem * number) / 100 : number * megabyte),
      action: word(`${name}_action`, 'ignore'),
    };
  };
  const rotates = word('max_log_file_action', 'ignore');
  const count = parseInt(get('num_logs', '0'), 10) || 0;
  const each = (parseInt(get('max_log_file', '0'), 10) || 0) * megabyte;
  return {
    logFile: get('log_file', '/var/log/audit/audit.log'),
    writesLogs: word('write_logs', 'yes') !== 'no' && word('log_format', 'raw') !== 'nolog',
    // auditd rotates a log that has reached its maximum size, unless num_logs is less than two.
    logBytes: rotates === 'rotate' && count > 1 ? count * each : rotates === 'suspend' ? each : Infinity,
    limits: [limit('space_left', '75'), limit('admin_space_left', '50')],
  };
}
