import { clean } from '../lib/unprintable.ts';
import { outputTo } from './output.ts';

/** The severities of syslog(3). */
export const priority = { error: 3, warning: 4, notice: 5, info: 6 } as const;

export type Fields = Record<string, string>;
export type Log = (level: number, message: string, fields: Fields) => void;

/**
 * Returns a log without unprintable characters, so that names of files, servers and mounts cannot forge log lines. Besides,
 * journalctl shows a text with control characters as a blob.
 */
export function cleaning(log: Log): Log {
  return (level, message, fields) => {
    const texts = Object.entries(fields).map(([name, value]) => [name, clean(value)]);
    log(level, clean(message), Object.fromEntries(texts) as Fields);
  };
}

/** Keeps entries until `send` is called. Opens the log, which takes milliseconds, only if there are entries. */
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
 * Opens the agent's own log, which is sent to journald by the systemd-journald module. If the module's native addon
 * cannot be loaded, the log is written to stderr in the form "<N>message" of sd-daemon(3).
 */
export async function openJournal(): Promise<Log> {
  const identified = (fields: Fields) => ({ SYSLOG_IDENTIFIER: 'immutafs-agent', ...fields });
  try {
    const { default: send } = await import('systemd-journald/log.js');
    return cleaning((level, message, fields) => send(level, message, identified(fields)));
  } catch {
    const { write } = outputTo(2);
    return cleaning((level, message) => write(`<${level}>${message}\n`));
  }
}
