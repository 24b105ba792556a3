import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HostError } from '../../../agent/lib/errors.ts';
import { runProgram } from '../../../agent/system/exec.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inTemporaryFolder, writeFiles } from '../../harness/temporary.ts';

const hands = suite('hands');
hands('a text in the place of a file: owner and mode stay, nothing else is left', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { 'etc/a': 'old', 'etc/.a.immutafs': 'left by a power cut' });
    fs.chmodSync(path.join(folder, 'etc/a'), 0o604);
    systemWriter(folder).replaceText('/etc/a', 'n\xe9w');
    assert.is(fs.readFileSync(path.join(folder, 'etc/a'), 'latin1'), 'n\xe9w');
    assert.is(fs.statSync(path.join(folder, 'etc/a')).mode & 0o7777, 0o604);
    assert.equal(fs.readdirSync(path.join(folder, 'etc')), ['a']);
  }),
);
hands('a text where nothing is, with the mode that is given', () =>
  inTemporaryFolder((folder) => {
    systemWriter(folder).replaceText('/a', 'new', 0o600);
    assert.is(fs.statSync(path.join(folder, 'a')).mode & 0o7777, 0o600);
  }),
);
hands('no text in the place of a link or a folder', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { link: { linkTo: 'target' }, target: 'x', 'folder/a': '' });
    for (const name of ['/link', '/folder']) {
      assert.throws(() => systemWriter(folder).replaceText(name, 'new'), /: no ordinary file$/);
    }
    assert.is(fs.readFileSync(path.join(folder, 'target'), 'latin1'), 'x');
  }),
);
hands('a link in the place of a file and of a link', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { a: 'x' });
    for (const to of ['one', 'two']) {
      systemWriter(folder).replaceByLink('/a', to);
      assert.is(fs.readlinkSync(path.join(folder, 'a')), to);
    }
  }),
);
hands('a copy of a file or link, in the place of another', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { file: 'x', link: { linkTo: 'nowhere' }, there: 'y', 'folder/a': '' });
    fs.chmodSync(path.join(folder, 'file'), 0o600);
    fs.utimesSync(path.join(folder, 'file'), 1e9, 1e9);
    systemWriter(folder).copyInto('/file', '/there');
    const { mode, mtimeMs } = fs.statSync(path.join(folder, 'there'));
    assert.equal([mode & 0o7777, mtimeMs], [0o600, 1e12]);
    systemWriter(folder).copyInto('/link', '/there');
    assert.is(fs.readlinkSync(path.join(folder, 'there')), 'nowhere');
    assert.throws(() => systemWriter(folder).copyInto('/folder', '/there'), /neither a file nor a link/);
    assert.is(fs.readlinkSync(path.join(folder, 'there')), 'nowhere');
  }),
);
hands('errors are the system’s, with their names', () =>
  inTemporaryFolder((folder) => {
    for (const act of [
      () => systemWriter(folder).remove('/none'),
      () => systemWriter(folder).replaceText('/none/a', 'x'),
      () => systemWriter(folder).rename('/none', '/other'),
      () => systemWriter(folder).copyInto('/none', '/other'),
    ]) {
      try {
        act();
        assert.unreachable('no error');
      } catch (error) {
        assert.instance(error, HostError);
        assert.is((error as HostError).code, 'ENOENT');
      }
    }
  }),
);
hands.run();

const program = suite('programs');
const sh = (script: string, seconds = 20, output?: (text: string) => void) =>
  runProgram('/bin/sh', ['-c', script], seconds, output);
program('what it says, and how it ends', async () => {
  assert.equal(await sh('echo out; echo err >&2; exit 3'), {
    exit: 3,
    stdout: 'out\n',
    stderr: 'err\n',
    late: false,
  });
});
program('no more than its last 64 KiB are kept, and all of it is passed on', async () => {
  let bytes = 0;
  const { stdout } = await sh(
    'head -c 300000 /dev/zero; echo end',
    20,
    (text) => void (bytes += text.length),
  );
  assert.equal([stdout.length, stdout.slice(-4), bytes], [65536, 'end\n', 300_004]);
});
program('it is ended when it takes too long', async () => {
  const { exit, late } = await sh('exec sleep 60', 1);
  assert.equal([exit, late], [null, true]);
});
program('its environment is ours, not the caller’s', async () => {
  process.env['IMMUTAFS_SECRET'] = 'x';
  const { stdout } = await sh('env; pwd');
  assert.match(stdout, 'LC_ALL=C\n');
  assert.not.match(stdout, 'IMMUTAFS_SECRET');
  assert.match(stdout, /^\/$/m);
});
program('one that is not there', async () => {
  try {
    await runProgram('/nonexistent/program', [], 5);
    assert.unreachable('no error');
  } catch (error) {
    assert.instance(error, HostError);
    assert.is((error as HostError).code, 'ENOENT');
  }
});
program.run();
