import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inRoot } from '../../../packaging/build/paths.ts';
import { fails } from '../../harness/rejection.ts';
import { inDirectories, writeFiles } from '../../harness/temporary.ts';

const writer = suite('SystemWriter');
const writerIn = inDirectories(writer);
writerIn('replaceText keeps owner and mode, and leaves no other file', (directory) => {
  writeFiles(directory, { 'etc/a': 'old', 'etc/.a.immutafs': 'left by a power cut' });
  fs.chmodSync(path.join(directory, 'etc/a'), 0o604);
  systemWriter(directory).replaceText('/etc/a', 'n\xe9w');
  assert.is(fs.readFileSync(path.join(directory, 'etc/a'), 'latin1'), 'n\xe9w');
  assert.is(fs.statSync(path.join(directory, 'etc/a')).mode & 0o7777, 0o604);
  assert.equal(fs.readdirSync(path.join(directory, 'etc')), ['a']);
});
writerIn('replaceText makes a file with the given mode', (directory) => {
  systemWriter(directory).replaceText('/a', 'new', 0o600);
  assert.is(fs.statSync(path.join(directory, 'a')).mode & 0o7777, 0o600);
});
writerIn('replaceText does not replace a link or a directory', (directory) => {
  writeFiles(directory, { link: { linkTo: 'target' }, target: 'x', 'directory/a': '' });
  for (const name of ['/link', '/directory']) {
    assert.throws(() => systemWriter(directory).replaceText(name, 'new'), /: not a regular file$/);
  }
  assert.is(fs.readFileSync(path.join(directory, 'target'), 'latin1'), 'x');
});
writerIn('replaceByLink replaces a file and a link', (directory) => {
  writeFiles(directory, { a: 'x' });
  for (const to of ['one', 'two']) {
    systemWriter(directory).replaceByLink('/a', to);
    assert.is(fs.readlinkSync(path.join(directory, 'a')), to);
  }
});
writerIn('copyInto copies a file or link over another', (directory) => {
  writeFiles(directory, { file: 'x', link: { linkTo: 'nowhere' }, there: 'y', 'directory/a': '' });
  fs.chmodSync(path.join(directory, 'file'), 0o600);
  fs.utimesSync(path.join(directory, 'file'), 1e9, 1e9);
  systemWriter(directory).copyInto('/file', '/there');
  const { mode, mtimeMs } = fs.statSync(path.join(directory, 'there'));
  assert.equal([mode & 0o7777, mtimeMs], [0o600, 1e12]);
  systemWriter(directory).copyInto('/link', '/there');
  assert.is(fs.readlinkSync(path.join(directory, 'there')), 'nowhere');
  assert.throws(() => systemWriter(directory).copyInto('/directory', '/there'), /neither a file nor a link/);
  assert.is(fs.readlinkSync(path.join(directory, 'there')), 'nowhere');
});
writerIn('errors have errno’s names', (directory) => {
  for (const act of [
    () => systemWriter(directory).remove('/none'),
    () => systemWriter(directory).replaceText('/none/a', 'x'),
    () => systemWriter(directory).rename('/none', '/other'),
    () => systemWriter(directory).copyInto('/none', '/other'),
  ]) {
    fails(act, 'ENOENT', /no such file/);
  }
});
writer.run();

const writing = suite('replaceFile');
const writingIn = inDirectories(writing);
writingIn('replaces a file whole, with the given mode', (root) => {
  const writer = systemWriter(root);
  writer.writeAtomically('/a', 'one', 0o600);
  writer.writeAtomically('/a', 'two', 0o644);
  const file = path.join(root, 'a');
  assert.is(fs.readFileSync(file, 'utf8'), 'two');
  assert.is(fs.statSync(file).mode & 0o7777, 0o644);
  assert.equal(fs.readdirSync(root), ['a']);
});

writingIn('a process that has the old file open keeps it', (root) => {
  const writer = systemWriter(root);
  writer.writeAtomically('/a', 'old', 0o644);
  const fd = fs.openSync(path.join(root, 'a'), 'r');
  writer.writeAtomically('/a', 'new', 0o644);
  assert.is(fs.readFileSync(fd, 'utf8'), 'old');
  fs.closeSync(fd);
});

writingIn('replaces a link and does not follow it', (root) => {
  writeFiles(root, { victim: 'mine', a: { linkTo: 'victim' } });
  systemWriter(root).writeAtomically('/a', 'x', 0o644);
  assert.is(fs.readFileSync(path.join(root, 'victim'), 'utf8'), 'mine');
  assert.is(fs.readFileSync(path.join(root, 'a'), 'utf8'), 'x');
});

writingIn('leaves no file if it fails', (root) => {
  fs.mkdirSync(path.join(root, 'a'));
  const writer = systemWriter(root);
  fails(() => writer.writeAtomically('/a', 'x', 0o644), 'EISDIR', /^\/a: /);
  assert.equal(fs.readdirSync(root), ['a']);
  fails(() => writer.writeAtomically('/none/a', 'x', 0o644), 'ENOENT', /^\/none\/a: /);
});
writing.run();

const starting = suite('starting a child process');

starting('without a free file descriptor, each way fails without ending the process; later it works', () => {
  const program = inRoot('test/harness/without-descriptors.ts');
  const limited = ['--nofile=64', process.execPath, program];
  const { status, stdout, stderr } = spawnSync('prlimit', limited, { encoding: 'utf8', timeout: 60_000 });
  assert.equal([status, stderr], [0, '']);
  const results = JSON.parse(stdout) as Record<'with' | 'without', Record<string, unknown>>;
  const mine = 'not started, because no file descriptor is free';
  assert.equal(results.without, {
    runProgram: 'SystemError EMFILE',
    runChild: 'SystemError EMFILE',
    runSync: 'EMFILE',
    followJournal: { complete: false, killed: false },
    lastCursor: 'undefined',
    listBoots: false,
    earlierBoots: 'the journal of earlier boots is not forwarded: journalctl cannot list the boots',
    exportJournal: 'SystemError EMFILE',
    xattrs: `Error: /bin/cat: ${mine}`,
  });
  assert.equal(results.with, {
    runProgram: 0,
    runChild: 'good',
    runSync: 0,
    followJournal: { complete: true, killed: false },
    lastCursor: 'string',
    listBoots: true,
    earlierBoots: 'started',
    exportJournal: 'read',
    xattrs: 'Error: /bin/cat: its output is malformed',
  });
});

starting.run();
