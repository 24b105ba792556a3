/**
 * Starts a child process in each way in which the agent does, first with no free file descriptor and then with free ones.
 * Prints one line of JSON: for each way the results of both attempts. Runs with a low RLIMIT_NOFILE.
 */
import fs from 'node:fs';
import { journalReaders } from '../../agent/forward/journal/earlier-boots.ts';
import { SystemError, errorCode } from '../../agent/lib/errors.ts';
import { runChild, runProgram, runSync } from '../../agent/system/exec.ts';
import { exportJournal, followJournal, lastCursor, listBoots } from '../../agent/system/journalctl.ts';
import { xattrReader } from '../../agent/system/layers/xattrs.ts';

const follow = () =>
  new Promise((resolve) => {
    const stream = followJournal(
      { start: { at: 'head' }, fields: undefined, boot: '0'.repeat(32), fast: false },
      () => undefined,
      ({ complete, killed }) => resolve({ complete, killed }),
    );
    stream.pause();
    stream.resume();
  });

const ways: Record<string, () => Promise<unknown>> = {
  runProgram: async () => (await runProgram('/bin/true', [], 5)).exit,
  runChild: async () => (await runChild('/bin/true', [], 5000)).ended,
  runSync: () => {
    const { exit, error } = runSync('/bin/true', []);
    return Promise.resolve(error === undefined ? exit : errorCode(error));
  },
  followJournal: follow,
  lastCursor: async () => typeof (await lastCursor('0'.repeat(32))),
  listBoots: async () => Array.isArray(await listBoots()),
  earlierBoots: () =>
    new Promise((resolve) => {
      const reader = journalReaders(
        undefined,
        '0'.repeat(32),
        'oldest',
      )('', {
        started: () => resolve('started'),
        trouble: resolve,
        entries: () => undefined,
      });
      reader.start();
      setTimeout(() => reader.stop(), 4000);
    }),
  exportJournal: async () => {
    for await (const _ of exportJournal()) break;
    return 'read';
  },
  xattrs: async () => {
    const reader = xattrReader('/bin/cat');
    await reader.read(['/']).finally(() => reader.close());
  },
};

async function attempts(): Promise<Record<string, unknown>> {
  const results = Object.entries(ways).map(async ([name, start]) => {
    const failed = (error: unknown) =>
      error instanceof SystemError ? `SystemError ${error.code}` : String(error);
    return [name, await start().catch(failed)] as const;
  });
  return Object.fromEntries(await Promise.all(results));
}

const opened: number[] = [];
try {
  for (;;) opened.push(fs.openSync('/dev/null', 'r'));
} catch {
  // Every descriptor is in use.
}
const without = await attempts();
for (const fd of opened) fs.closeSync(fd);
fs.writeSync(1, `${JSON.stringify({ without, with: await attempts() })}\n`);
process.exit(0);
