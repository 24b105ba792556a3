import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

export const journalctl = '/usr/bin/journalctl';

/** Where reading begins. */
export type Start =
  /** With this boot's first entry; only to learn its cursor: such a reading ends at a broken entry. */
  | { at: 'boot' }
  /** With this entry itself, or what comes after it where it is gone. */
  | { at: 'cursor'; cursor: string }
  /** After this entry, which cannot be read. */
  | { at: 'after'; cursor: string };

/** How a reading ended that nobody stopped. */
export interface End {
  /** It was ended from outside: what it left unfinished may be fine. */
  killed: boolean;
  reason: string;
}

export interface Reading {
  pause(): void;
  resume(): void;
  stop(): void;
}

const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C', SYSTEMD_COLORS: '0' };

const options = ['-o', 'export', '--no-pager', '-q', '--no-tail', '-f'];

/**
 * Follows the journal. Options that 219 has. Not `--after-cursor` to go on: where the cursor's entry is gone it
 * skips another one, before 256.
 * @param fields that are enough, beside those of the entry itself; undefined: all. Others may come too.
 */
export function follow(
  start: Start,
  fields: readonly string[] | undefined,
  data: (chunk: Buffer) => void,
  ended: (end: End) => void,
): Reading {
  const child = spawn(journalctl, [...options, ...selection(fields), ...startOptions(start)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment,
  });
  let told = false;
  let said = '';
  const finish = (end: End) => {
    if (told) return;
    told = true;
    ended(end);
  };
  child.stdout.on('data', data);
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString('latin1')).slice(-500);
  });
  child.on('error', (error) => finish({ killed: false, reason: error.message }));
  child.on('close', (code, signal) => {
    const how = signal === null ? `exit code ${code ?? ''}` : signal;
    finish({
      killed: signal !== null,
      reason: `${said.trim().replace(/\s+/g, ' ') || 'no message'} (${how})`,
    });
  });
  return {
    pause: () => child.stdout.pause(),
    resume: () => child.stdout.resume(),
    stop: () => {
      told = true;
      end(child);
    },
  };
}

/** The last entry's cursor, or '' where there is none; undefined where journalctl does not say within 10 s. */
export function lastCursor(): Promise<string | undefined> {
  const child = spawn(journalctl, ['-n', '1', '-q', '--no-pager', '--show-cursor', '-o', 'cat'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: 10_000,
    env: environment,
  });
  // The cursor comes last; what comes before it is anybody's, and of any size.
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

/** From 236 on, journalctl can leave fields out. */
function selection(fields: readonly string[] | undefined): string[] {
  if (fields === undefined) return [];
  const option = `--output-fields=${fields.join(',')}`;
  const probe = () => spawnSync(journalctl, [option, '--version'], { stdio: 'ignore', timeout: 5000 });
  selects ??= probe().status === 0;
  return selects ? [option] : [];
}

function startOptions(start: Start): string[] {
  switch (start.at) {
    case 'boot':
      return ['-b'];
    case 'cursor':
      return [`--cursor=${start.cursor}`];
    case 'after':
      return [`--after-cursor=${start.cursor}`];
  }
}

/** Its pipe is read no more: what it still writes must not keep it. */
function end(child: ChildProcess): void {
  child.stdout?.removeAllListeners('data');
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.kill('SIGTERM');
}
