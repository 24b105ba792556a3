import { isSea } from 'node:sea';
import { run } from './cli.ts';
import { systemReader } from './system/reader.ts';
import { isTerminal, outputTo } from './system/output.ts';

const toStderr = outputTo(2);
const output = {
  stdout: outputTo(1),
  stderr: (text: string) => {
    try {
      toStderr(text);
    } catch {
      // stderr is closed; the exit code reports the failure.
    }
  },
  terminal: process.env['NO_COLOR'] === undefined && isTerminal(1),
  // A serial console may report no size.
  get columns() {
    if (!isTerminal(1)) return undefined;
    return process.stdout.columns > 0 ? process.stdout.columns : 80;
  },
};

// How this program starts itself again for work in a child process.
const self = isSea()
  ? [process.execPath]
  : [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)];

void run(process.argv.slice(2), systemReader({ self }), output).then((code) => {
  process.exitCode = code;
});
