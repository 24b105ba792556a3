import { SystemError, errorMessage } from '../../lib/errors.ts';
import { startChild } from '../child.ts';

const journalctl = '/usr/bin/journalctl';

/**
 * Reads the journal of this boot in the export format, as a stream that waits for its reader.
 * @throws SystemError during the iteration, if journalctl cannot be run or fails
 */
export async function* exportJournal(): AsyncGenerator<Buffer, void> {
  const child = startChild(journalctl, ['-o', 'export', '-b', '-q', '--no-pager'], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', SYSTEMD_COLORS: '0' },
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('latin1')).slice(-500);
  });
  const ended = new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(errorMessage(error)));
    child.on('close', (code, signal) => {
      const how = signal ?? `exit code ${code ?? ''}`;
      resolve(code === 0 ? undefined : `${stderr.trim().replace(/\s+/g, ' ') || 'no message'} (${how})`);
    });
  });
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) yield chunk;
    const problem = await ended;
    if (problem !== undefined) throw new SystemError(`${journalctl}: ${problem}`);
  } finally {
    child.kill('SIGTERM');
  }
}
