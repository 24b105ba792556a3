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

void run(process.argv.slice(2), systemHost(), output).then((code) => {
  process.exitCode = code;
});
