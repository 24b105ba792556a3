/**
 * Starts the agent like agent/main.ts, for a small system in a chroot with namespaces of its own: the agent takes the
 * namespaces of this process for those of PID 1, which `prepare` requires.
 */
import { run } from '../../agent/cli.ts';
import { outputTo } from '../../agent/system/output.ts';
import { systemReader } from '../../agent/system/reader.ts';
import { systemWriter } from '../../agent/system/writer.ts';

const initial: Record<string, string> = {
  '/proc/self/ns/pid': 'pid:[4026531836]',
  '/proc/self/ns/user': 'user:[4026531837]',
};
const reader = systemReader({ self: [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)] });
const [stdout, stderr] = [outputTo(1), outputTo(2)];

const code = await run(
  process.argv.slice(2),
  {
    ...reader,
    link: (file) => initial[file] ?? reader.link(file),
    read: (file, limit) => reader.read(file === '/proc/1/mountinfo' ? '/proc/self/mountinfo' : file, limit),
  },
  () => Promise.resolve(systemWriter()),
  { stdout: stdout.write, stderr: stderr.write, terminal: false },
);
await Promise.all([stdout.flush(), stderr.flush()]);
process.exit(code);
