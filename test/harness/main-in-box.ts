/**
 * Starts the agent like agent/main.ts, for a small system in a chroot with namespaces of its own: the agent takes the
 * namespaces of this process for those of PID 1, which `prepare` requires.
 */
import { isSea } from 'node:sea';
import { run } from '../../agent/cli.ts';
import { SystemError } from '../../agent/lib/errors.ts';
import { runMoves } from '../../agent/prepare/prepare.ts';
import { outputTo } from '../../agent/system/output.ts';
import { systemReader } from '../../agent/system/reader.ts';
import { systemWriter } from '../../agent/system/writer.ts';

/** As in agent/main.ts, so that the code cache contains the same functions as that of the delivered agent. */
declare const warmUpRoot: string | undefined;

const initial: Record<string, string> = {
  '/proc/self/ns/pid': 'pid:[4026531836]',
  '/proc/self/ns/user': 'user:[4026531837]',
};
const self = isSea()
  ? [process.execPath]
  : [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)];
const reader = systemReader({ self, root: typeof warmUpRoot === 'undefined' ? '/' : warmUpRoot });
const [stdout, stderr] = [outputTo(1), outputTo(2)];
const inBox = {
  ...reader,
  link: (file: string) => initial[file] ?? reader.link(file),
  read: (file: string, limit?: number) =>
    reader.read(file === '/proc/1/mountinfo' ? '/proc/self/mountinfo' : file, limit),
};

/** FAULT="POINT FAULT": at this point of a move, the process is killed, or an operation fails with this code. */
const [point, fault] = (process.env['FAULT'] ?? '').split(' ');
const at = (name: string) => {
  if (process.env['SHOW_POINTS'] !== undefined) stdout.write(`at ${name}\n`);
  if (name !== point) return;
  if (fault === 'KILL') process.kill(process.pid, 'SIGKILL');
  throw new SystemError(`injected: ${fault}`, fault);
};

const ran =
  process.argv[2] === 'run-moves'
    ? runMoves(
        {
          ...{ reader: inBox, writer: systemWriter() },
          say: (text) => stdout.write(`${text}\n`),
          progress: () => undefined,
        },
        at,
      ).then((isGood) => (isGood ? 0 : 1))
    : run(process.argv.slice(2), inBox, () => Promise.resolve(systemWriter()), {
        stdout: stdout.write,
        stderr: stderr.write,
        terminal: false,
      });
// No top-level await, which the built executable does not permit.
void ran.then(async (code) => {
  await Promise.all([stdout.flush(), stderr.flush()]);
  process.exit(code);
});
