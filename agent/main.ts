import { isSea } from 'node:sea';
import { run } from './cli.ts';
import { systemReader } from './system/reader.ts';
import { isTerminal, outputTo } from './system/output.ts';

const stdout = outputTo(1);
const stderr = outputTo(2);
const output = {
  stdout: stdout.write,
  stderr: (text: string) => {
    try {
      stderr.write(text);
    } catch {
      // stderr is closed; the exit code reports the failure.
    }
  },
  terminal: process.env['NO_COLOR'] === undefined && isTerminal(1),
  errorTerminal: isTerminal(2),
  // A serial console may not report a size.
  get columns() {
    if (!isTerminal(1)) return undefined;
    return process.stdout.columns > 0 ? process.stdout.columns : 80;
  },
};

/** The root of another system, on which the build runs the program (packaging/build/warm-up.cjs). */
declare const warmUpRoot: string | undefined;

/** The command line that starts this program as a child process. */
const self = isSea()
  ? [process.execPath]
  : [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)];

const root = typeof warmUpRoot === 'undefined' ? '/' : warmUpRoot;

const loadWriter = async (isLabelled?: boolean) =>
  (await import('./system/writer.ts')).systemWriter('/', isLabelled);

void run(process.argv.slice(2), systemReader({ self, root }), loadWriter, output).then(async (code) => {
  await Promise.all([stdout.flush(), stderr.flush()]);
  // The only call of process.exit. Without it, an abandoned child process or a connection attempt would keep this
  // process alive.
  process.exit(code);
});
