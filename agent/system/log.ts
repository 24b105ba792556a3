import { logText } from '../lib/unprintable.ts';

/** syslog(3)'s severities that the agent uses. */
export const priority = { error: 3, warning: 4, notice: 5, info: 6 } as const;

export type Fields = Record<string, string>;
export type Log = (level: number, message: string, fields: Fields) => void;

/** What comes from names of files, servers and mounts must not forge or hide a line of the log. */
export function cleaning(log: Log): Log {
  return (level, message, fields) => {
    const texts = Object.entries(fields).map(([name, value]) => [name, logText(value)]);
    log(level, logText(message), Object.fromEntries(texts) as Fields);
  };
}

/** Keeps entries until they are sent: where there are none, the log is not opened, which takes milliseconds. */
export function keepingLog(open: () => Promise<Log>): { log: Log; send: () => Promise<void> } {
  const kept: Parameters<Log>[] = [];
  return {
    log: (...entry) => void kept.push(entry),
    send: async () => {
      if (kept.length === 0) return;
      const log = await open();
      for (const entry of kept.splice(0)) log(...entry);
    },
  };
}

/**
 * The agent's own log: journald through node-systemd-journald, or stderr in systemd's "<N>message" form
 * (sd-daemon(3)) where its addon cannot be loaded.
 */
export async function openJournal(): Promise<Log> {
  const identified = (fields: Fields) => ({ SYSLOG_IDENTIFIER: 'immutafs-agent', ...fields });
  try {
    const { default: send } = await import('systemd-journald/log.js');
    return cleaning((level, message, fields) => send(level, message, identified(fields)));
  } catch {
    return cleaning((level, message) => void process.stderr.write(`<${level}>${message}\n`));
  }
}
