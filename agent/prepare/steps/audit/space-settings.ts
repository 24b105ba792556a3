/** The unit of sizes in auditd.conf(5): auditd counts in 1024 x 1024 bytes (auditd-event.c, MEGABYTE). */
export const megabyte = 1024 ** 2;

/** The settings of auditd.conf(5) about disk space. The defaults are those of auditd (clear_config, auditd-config.c). */
export interface SpaceSettings {
  logFile: string;
  /** Whether auditd writes a log. */
  writesLogs: boolean;
  /** The number of logs, if auditd deletes older ones; 1 if it stops writing at the maximum size; Infinity otherwise. */
  logCount: number;
  /** max_log_file, in bytes. */
  logSize: number;
  /** The limits of space_left and admin_space_left. */
  left: Limit;
  admin: Limit;
  /** These two limits, and those of disk_full_action and disk_error_action. */
  limits: Limit[];
}

/** A limit of the free space, and what auditd does below it. */
export interface Limit {
  /** The settings, for messages: "space_left = 75 and space_left_action = HALT". */
  text: string;
  actionKey: string;
  /** In lower case. */
  action: string;
  /** Whether the action stops logging or the guest, or holds up a shutdown. */
  isHarmful: boolean;
  isShare: boolean;
  bytes: (fileSystem: number) => number;
}

/** The harmful actions of auditd at a limit, with their consequences. */
export const consequences: Record<string, string> = {
  suspend: 'auditd stops writing audit records',
  single: 'auditd takes the guest to single-user mode',
  halt: 'auditd powers the guest off',
  exec: 'auditd stops writing audit records and runs a program',
  email: 'auditd starts a mailer, which the next shutdown waits for',
};

/** auditd does not use the last five blocks of a file system (check_space_left in auditd-event.c). */
const lastBlocks = 5 * 4096;

export function readSpaceSettings(values: ReadonlyMap<string, string>): SpaceSettings {
  const number = (key: string) => parseInt(values.get(key) ?? '', 10) || 0;
  const word = (key: string, otherwise: string) =>
    (values.get(key) ?? otherwise).split(' ')[0]?.toLowerCase() ?? '';
  const onFull = word('max_log_file_action', 'ignore');
  const count = number('num_logs');
  const left = leftLimit(values, 'space_left', word('space_left_action', 'ignore'));
  const admin = leftLimit(values, 'admin_space_left', word('admin_space_left_action', 'ignore'));
  return {
    logFile: values.get('log_file') ?? '/var/log/audit/audit.log',
    writesLogs: word('write_logs', 'yes') !== 'no' && word('log_format', 'raw') !== 'nolog',
    // auditd rotates a log that has reached its maximum size, unless num_logs is less than two.
    logCount: onFull === 'rotate' && count > 1 ? count : onFull === 'suspend' ? 1 : Infinity,
    logSize: number('max_log_file') * megabyte,
    left,
    admin,
    limits: [
      left,
      admin,
      fixedLimit('disk_full_action', word('disk_full_action', 'ignore')),
      // auditd takes this action when the disk is full, too: at the second failed write, or if it cannot open a new log.
      fixedLimit('disk_error_action', word('disk_error_action', 'syslog')),
    ],
  };
}

function leftLimit(values: ReadonlyMap<string, string>, key: string, action: string): Limit {
  const amount = values.get(key) ?? '0';
  const number = parseInt(amount, 10) || 0;
  const isShare = amount.endsWith('%');
  const actionKey = `${key}_action`;
  return {
    ...{ actionKey, action, isHarmful: Object.hasOwn(consequences, action), isShare },
    text: `${key} = ${amount} and ${actionKey} = ${action.toUpperCase()}`,
    bytes: (fileSystem) => (isShare ? (fileSystem * number) / 100 : number * megabyte),
  };
}

function fixedLimit(actionKey: string, action: string): Limit {
  const isHarmful = Object.hasOwn(consequences, action);
  const text = `${actionKey} = ${action.toUpperCase()}`;
  return { actionKey, action, isHarmful, isShare: false, text, bytes: () => lastBlocks };
}

/** The size to which auditd's own logs can grow, in bytes; Infinity if there is no limit. */
export function logBytes({ logCount, logSize }: SpaceSettings): number {
  return logCount === Infinity ? Infinity : logCount * logSize;
}
