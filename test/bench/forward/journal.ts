import { LiveJournal, exportEntry } from '../../wire/support/journal.ts';

/** Returns entries like those of a service, 800 bytes each in the export format. Each message ends with a number. */
export function entries(from: number, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, n) => exportEntry(fields(from + n))));
}

function fields(number: number): Record<string, string> {
  const pid = String(1000 + (number % 40));
  const unit = `worker@${number % 8}.service`;
  return {
    MESSAGE: `Accepted request from 192.0.2.${number % 250} port ${20_000 + (number % 9973)}, entry ${number}`,
    PRIORITY: String(number % 50 === 0 ? 4 : 6),
    SYSLOG_FACILITY: '3',
    SYSLOG_IDENTIFIER: 'workerd',
    SYSLOG_PID: pid,
    _PID: pid,
    _UID: '998',
    _GID: '998',
    _COMM: 'workerd',
    _EXE: '/usr/libexec/workerd',
    _CMDLINE: `/usr/libexec/workerd --instance ${number % 8}`,
    _CAP_EFFECTIVE: '0',
    _SELINUX_CONTEXT: 'system_u:system_r:unconfined_service_t:s0',
    _SYSTEMD_CGROUP: `/system.slice/${unit}`,
    _SYSTEMD_UNIT: unit,
    _SYSTEMD_SLICE: 'system.slice',
    _TRANSPORT: 'syslog',
  };
}

const chunk = 20_000;

/** Creates a journal with the given number of entries. */
export async function makeJournal(count: number): Promise<void> {
  const journal = new LiveJournal();
  for (let from = 0; from < count; from += chunk) {
    journal.append(entries(from, Math.min(chunk, count - from)));
    await journal.taken();
  }
  await journal.close();
}
