declare module 'systemd-journald/log.js' {
  /** Logs an entry with sd_journal_sendv(3). Field names are converted to upper case. */
  export default function log(priority: number, message: string, fields: Record<string, string>): void;
}
