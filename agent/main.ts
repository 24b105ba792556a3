import { isSea } from 'node:sea';
import { run } from './cli.ts';
import { systemHost } from './host.ts';

const terminal = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;
const output = {
  stdout: (text: string) => void process.stdout.write(text),
  stderr: (text: string) => void process.stderr.write(text),
  terminal,
};

// A reader that went away (`status | head -1`) is no fault.
process.stdout.on('error', () => undefined);

// How to start this program again, for what it has to do in a child process.
const self = isSea()
  ? [process.execPath]
  : [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)];

void run(process.argv.slice(2), systemHost({ self }), output).then((code) => {
  process.exitCode = code;
});
