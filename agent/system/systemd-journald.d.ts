declare module 'systemd-journald/log.js' {
  /** sd_journal_sendv(3); a name becomes upper case. */
  export default function log(priority: number, message: string, fields: Record<string, string>): void;
}
