/** Tests the lock of `prepare` with several processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../agent/lib/errors.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inDirectories, writeFiles } from '../../harness/temporary.ts';

const module = path.join(import.meta.dirname, '../../../agent/system/lock.ts');

/** Runs a script, which imports `lock`, in a new process. */
function other(script: string): ChildProcess {
  const text = `import { lock } from ${JSON.stringify(module)}; import fs from 'node:fs'; ${script}`;
  return spawn(process.execPath, ['--input-type=module-typescript', '--no-warnings', '--eval', text], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** Starts a process that holds the lock until it is killed. */
async function holder(file: string): Promise<ChildProcess> {
  const child = other(`lock(${JSON.stringify(file)}, 'x'); console.log('mine'); setInterval(() => 0, 1000);`);
  if (child.stdout !== null) await once(child.stdout, 'data');
  return child;
}

const locks = suite('lock');
const locksIn = inDirectories(locks);
locksIn('can be taken once, and again after it was released', (directory) => {
  const { lock } = systemWriter(directory);
  const unlock = lock('/run/lock');
  assert.is(fs.readFileSync(path.join(directory, 'run/lock'), 'latin1'), `${process.pid}\n`);
  assert.throws(() => lock('/run/lock'), `is running (process ${process.pid})`);
  unlock();
  lock('/run/lock')();
  assert.is(fs.readFileSync(path.join(directory, 'run/lock'), 'latin1'), '');
});
locksIn(
  'an error names the process that holds the lock, whatever the file contains; the lock ends with the process',
  async (directory) => {
    const file = path.join(directory, 'lock');
    const child = await holder(file);
    const { lock } = systemWriter(directory);
    assert.throws(() => lock('/lock'), `is running (process ${child.pid})`);
    // Simulates a process that has not written its ID yet.
    fs.truncateSync(file);
    assert.throws(() => lock('/lock'), 'is running (/lock)');
    child.kill('SIGKILL');
    await once(child, 'exit');
    lock('/lock')();
  },
);
for (const [title, text] of [
  ['has the ID of another running program', `${process.ppid}\n`],
  ['is empty', ''],
  ['has other content', 'x'.repeat(100)],
]) {
  locksIn(`a file without a lock that ${title} can be locked`, (directory) => {
    writeFiles(directory, { lock: text ?? '' });
    systemWriter(directory).lock('/lock')();
  });
}
locksIn('a link or a directory instead of the file is an error', (directory) => {
  writeFiles(directory, { link: { linkTo: 'target' }, 'directory/a': '' });
  for (const name of ['/link', '/directory']) {
    assert.throws(
      () => systemWriter(directory).lock(name),
      (error: unknown) => error instanceof SystemError && error.message.startsWith(`${name}: `),
    );
  }
  assert.is(fs.existsSync(path.join(directory, 'target')), false);
});
locksIn('never has two owners while processes compete for it and are killed', async (directory) => {
  const file = path.join(directory, 'lock');
  // Each owner of the lock makes a file that must not exist yet. An owner that is killed leaves the file, with its
  // process ID.
  const script = `
      for (let had = 0; had < 15; ) {
        let unlock;
        try { unlock = lock(${JSON.stringify(file)}, 'x'); } catch (error) { if (error.code !== 'EEXIST') throw error; continue; }
        had += 1;
        const owner = ${JSON.stringify(path.join(directory, 'owner'))};
        const before = fs.existsSync(owner) ? Number(fs.readFileSync(owner, 'latin1')) : 0;
        // When the kernel closes the files of a killed process, the process no longer has a program.
        let lives = before !== 0;
        try { fs.readlinkSync('/proc/' + before + '/exe'); } catch { lives = false; }
        if (lives) { console.log('two owners'); process.exit(1); }
        fs.writeFileSync(owner, String(process.pid));
        if (had === Number(process.env.DIE)) process.kill(process.pid, 'SIGKILL');
        fs.rmSync(owner);
        unlock();
      }`;
  const children = [3, 7, 99, 99].map((die) => other(`process.env.DIE = '${die}'; ${script}`));
  const ended = await Promise.all(children.map((child) => once(child, 'exit')));
  assert.equal(ended, [
    [null, 'SIGKILL'],
    [null, 'SIGKILL'],
    [0, null],
    [0, null],
  ]);
});
locks.run();
