import type { Files } from './step-table.ts';

/** Returns the text of RHEL's auditd.conf with changes; a key that is undefined is absent. */
export function auditdText(changes: Record<string, string | undefined> = {}): string {
  const values: Record<string, string | undefined> = {
    log_file: '/var/log/audit/audit.log',
    max_log_file: '8',
    num_logs: '5',
    max_log_file_action: 'ROTATE',
    space_left: '75',
    space_left_action: 'SYSLOG',
    admin_space_left: '50',
    admin_space_left_action: 'SUSPEND',
    ...changes,
  };
  const lines = Object.entries(values).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key} = ${value}\n`],
  );
  return `# comment\n${lines.join('')}`;
}

/** Returns the files of a guest with an enabled auditd. @param size VAR_SIZE */
export function auditd(
  changes: Record<string, string | undefined> = {},
  size = '64m',
  { forward = '', text = auditdText(changes) }: { forward?: string; text?: string } = {},
): Files {
  return {
    'etc/immutafs/immutafs.conf': `VAR_SIZE=${size}\n${forward === '' ? '' : `FORWARD=${forward}\n`}`,
    'etc/audit/auditd.conf': text,
    'etc/systemd/system/multi-user.target.wants/auditd.service': {
      linkTo: '/usr/lib/systemd/system/auditd.service',
    },
  };
}
