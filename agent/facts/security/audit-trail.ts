import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { auditdConf, parseAuditdConf } from './auditd-conf.ts';

/** Where auditd(8) writes the audit trail. */
interface AuditTrail {
  /** The value of log_file; undefined if auditd writes no file. */
  file: string | undefined;
  /** Whether journald receives the audit trail as well. */
  inJournal: boolean;
}

const defaultFile = '/var/log/audit/audit.log';
/** The link that systemd creates while the socket is active (since systemd 235). RHEL 7 does not have this socket. */
const journalSocket = '/run/systemd/units/invocation:systemd-journald-audit.socket';

/** Returns where the audit trail is; undefined if auditd does not run. @throws SystemError */
export function findAuditTrail(reader: SystemReader): AuditTrail | undefined {
  if (!isAuditdRunning(reader)) return undefined;
  const { values } = parseAuditdConf(reader.readIfPresent(auditdConf, 1024 * 1024) ?? '');
  const is = (key: string, value: string) => values.get(key)?.toLowerCase() === value;
  const writes = !is('write_logs', 'no') && !is('log_format', 'nolog');
  return {
    file: writes ? (values.get('log_file') ?? defaultFile) : undefined,
    inJournal: reader.stat(journalSocket) !== undefined,
  };
}

/** Returns the log file of auditd, whether it runs or not. An unprivileged user may not be able to read the setting. */
export function auditLogFile(reader: SystemReader): string {
  try {
    const { values } = parseAuditdConf(reader.readIfPresent(auditdConf, 1024 * 1024) ?? '');
    return values.get('log_file') ?? defaultFile;
  } catch (error) {
    if (error instanceof SystemError) return defaultFile;
    throw error;
  }
}

/** Whether auditd runs. Only root can write the file with its process ID; the file of a crashed auditd is outdated. */
export function isAuditdRunning(reader: SystemReader): boolean {
  const pid = reader.readIfPresent('/run/auditd.pid', 64)?.trim() ?? '';
  return /^[1-9]\d{0,9}$/.test(pid) && reader.readIfPresent(`/proc/${pid}/comm`, 64)?.trim() === 'auditd';
}
