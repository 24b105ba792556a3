import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inDirectories, writeFiles } from '../../harness/temporary.ts';

const writing = suite('replaced files: the order of system calls');
const writingIn = inDirectories(writing);
const writerFile = path.resolve('agent/system/writer.ts');

/**
 * After a power failure, a file system may have renamed a file without having written its content. Only this order
 * guarantees the old or the new content, and that the new content is on the disk when the method returns.
 */
const safe = ['sync new content', 'rename', 'sync directory'];

for (const [method, call, order] of [
  ['writeAtomically', "writeAtomically('/a', 'new', 0o644)", safe],
  ['writeAtomicallyLater', "writeAtomicallyLater('/a', 'new', 0o644)", safe],
  ['replaceText of a new file', "replaceText('/b', 'new')", safe],
  // The content and then the attributes.
  ['replaceText of an existing file', "replaceText('/a', 'new')", ['sync new content', ...safe]],
  ['copyInto', "copyInto('/from', '/a')", safe],
  ['rename', "rename('/from', '/a')", safe],
  ['replaceByLink, because a link has no content', "replaceByLink('/a', 'to')", ['rename', 'sync directory']],
] as const) {
  writingIn(`the order is safe in ${method}`, (directory) => {
    writeFiles(directory, { 'root/a': 'old', 'root/from': 'new' });
    const root = fs.realpathSync(path.join(directory, 'root'));
    const program = `
import { systemWriter } from ${JSON.stringify(writerFile)};
await systemWriter(${JSON.stringify(root)}).${call};`;
    assert.equal(orderOfCalls(directory, root, program), order);
  });
}

writing.run();

/** Runs a program, and returns what it syncs and renames in `root`, in order. */
function orderOfCalls(directory: string, root: string, program: string): string[] {
  const trace = path.join(directory, 'trace');
  // Without -s, strace would cut the paths; -y prints the path of a file descriptor.
  const strace = [
    '-f',
    '-y',
    '-s',
    '4096',
    '-e',
    'trace=fsync,fdatasync,rename,renameat,renameat2',
    '-o',
    trace,
  ];
  const node = [process.execPath, '--input-type=module', '-e', program];
  execFileSync('strace', [...strace, ...node], { env: { ...process.env, UV_USE_IO_URING: '0' } });
  return fs
    .readFileSync(trace, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, call = '', argument = ''] = /^\d+ +(\w+)\(([^)]*)/.exec(line) ?? [];
      if (call.startsWith('rename')) return ['rename'];
      const file = /<([^>]*)>/.exec(argument)?.[1] ?? '';
      if (file === root) return ['sync directory'];
      return file.startsWith(`${root}/`) ? ['sync new content'] : [];
    });
}
