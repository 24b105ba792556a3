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
      // Nobody is left to tell; the exit code says that something went wrong.
    }
  },
  terminal: process.env['NO_COLOR'] === undefined && isTerminal(1),
};

// How to start this program again, for what it has to do in a child process.
const self = isSea()
  ? [process.execPath]
  : [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)];

void run(process.argv.slice(2), systemReader({ self }), output).then((code) => {
  process.exitCode = code;
});
