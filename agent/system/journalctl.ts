import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

const journalctl = '/usr/bin/journalctl';

/** Where reading begins. */
export type StartPosition =
  /** With this boot's first entry. Used only to find its cursor: such a stream ends at a corrupt entry. */
  | { at: 'boot' }
  /** With this entry, or with the next one if this entry is gone. */
  | { at: 'cursor'; cursor: string }
  /** After this entry, which cannot be read. */
  | { at: 'after'; cursor: string };

/** How journalctl ended, if it was not stopped by `stop`. */
export interface StreamEnd {
  /** A signal ended journalctl: an entry that it did not finish is not necessarily corrupt. */
  killed: boolean;
  reason: string;
}

/** A running journalctl. */
export interface JournalStream {
  pause(): void;
  resume(): void;
  /** Ends journalctl; `onEnd` is not called. */
  stop(): void;
}

const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C', SYSTEMD_COLORS: '0' };

const options = ['-o', 'export', '--no-pager', '-q', '--no-tail', '-f'];

/**
 * Follows the journal in the export format. Uses only options of systemd 219, and `--cursor` rather than
 * `--after-cursor`: before 256, `--after-cursor` skips one entry too many if the cursor's entry is gone.
 * @param fields the fields that are needed beside those of every entry; undefined for all. More fields may come.
 * @throws Error if no process can be created
 */
export function followJournal(
  start: StartPosition,
  fields: readonly string[] | undefined,
  onData: (chunk: Buffer) => void,
  onEnd: (end: StreamEnd) => void,
): JournalStream {
  const child = spawn(journalctl, [...options, ...selection(fields), ...startOptions(start)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment,
  });
  let ended = false;
  let stderr = '';
  const finish = (end: StreamEnd) => {
    if (ended) return;
    ended = true;
    onEnd(end);
  };
  child.stdout.on('data', onData);
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('latin1')).slice(-500);
  });
  child.on('error', (error) => finish({ killed: false, reason: error.message }));
  child.on('close', (code, signal) => {
    const how = signal === null ? `exit code ${code ?? ''}` : signal;
    finish({
      killed: signal !== null,
      reason: `${stderr.trim().replace(/\s+/g, ' ') || 'no message'} (${how})`,
    });
  });
  return {
    pause: () => child.stdout.pause(),
    resume: () => child.stdout.resume(),
    stop: () => {
      ended = true;
      terminate(child);
    },
  };
}

/** The cursor of the journal's last entry; '' if the journal is empty; undefined if journalctl does not answer in 10 s. */
export function lastCursor(): Promise<string | undefined> {
  const child = spawn(journalctl, ['-n', '1', '-q', '--no-pager', '--show-cursor', '-o', 'cat'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 10_000,
    env: environment,
  });
  // The cursor comes last. The entry before it may have any content and any size.
  let tail = '';
  child.stdout.on('data', (chunk: Buffer) => {
    tail = (tail + chunk.toString('latin1', Math.max(0, chunk.length - 500))).slice(-500);
  });
  return new Promise((resolve) => {
    child.on('error', () => resolve(undefined));
    child.on('close', (code) =>
      resolve(code === 0 ? (/(?:^|\n)-- cursor: (\S+)\n$/.exec(tail)?.[1] ?? '') : undefined),
    );
  });
}

let selects: boolean | undefined;

/** journalctl can select fields since systemd 236. */
function selection(fields: readonly string[] | undefined): string[] {
  if (fields === undefined) return [];
  const option = `--output-fields=${fields.join(',')}`;
  const probe = () => spawnSync(journalctl, [option, '--version'], { stdio: 'ignore', timeout: 5000 });
  selects ??= probe().status === 0;
  return selects ? [option] : [];
}

function startOptions(start: StartPosition): string[] {
  switch (start.at) {
    case 'boot':
      return ['-b'];
    case 'cursor':
      return [`--cursor=${start.cursor}`];
    case 'after':
      return [`--after-cursor=${start.cursor}`];
  }
}

/** Closes the pipes first, so that a blocked write cannot delay the process's end. */
function terminate(child: ChildProcess): void {
  child.stdout?.removeAllListeners('data');
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.kill('SIGTERM');
}
