import { isJournalMoved } from '../../facts/boot/moved-journal.ts';
import { errorMessage } from '../../lib/errors.ts';
import type { Context } from '../engine/context.ts';

/** Rotates and shrinks journals and logs, which no program writes to now. systemd 219 has no `journalctl --rotate`. */
export async function cleanVar({ reader, say, run }: Context): Promise<void> {
  const signal = ['kill', '--kill-who=main', '--signal=SIGUSR2', 'systemd-journald.service'];
  const logs = ['/usr/sbin/logrotate', '/etc/logrotate.conf'];
  const commands: [string, ...string[]][] = isJournalMoved(reader)
    ? []
    : [
        ['/usr/bin/journalctl', '--flush'],
        ['/usr/bin/systemctl', ...signal],
        ['/usr/bin/journalctl', '--vacuum-size=16M'],
      ];
  if (logs.every((file) => reader.stat(file) !== undefined))
    commands.push(['/usr/sbin/logrotate', '--force', '/etc/logrotate.conf']);
  for (const [program, ...args] of commands) {
    try {
      await run(program, args, { seconds: 300 });
    } catch (error) {
      say(errorMessage(error));
    }
  }
}
