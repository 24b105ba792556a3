import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { parseTreeState, readTreeState, removeTree } from '../../../agent/system/tree.ts';
import { inDirectories, writeFiles } from '../../harness/temporary.ts';
import { errorOf } from '../../harness/rejection.ts';

const nothing = () => undefined;

const trees = suite('trees');
const treesIn = inDirectories(trees);
treesIn('a state is another one when a file was changed, added or renamed', async (directory) => {
  const file = (name: string) => path.join(directory, name);
  writeFiles(directory, { 'd/content': 'x', mode: 'x', link: { linkTo: 'nowhere' }, old: 'x' });
  execFileSync('mkfifo', [file('fifo')]);
  const stateOf = async () => (await readTreeState(directory, nothing)).text();
  let before = await stateOf();
  assert.is(before.length, 6 * 8);
  assert.is(await stateOf(), before);
  for (const change of [
    () => fs.writeFileSync(file('d/content'), 'y'),
    () => fs.chmodSync(file('mode'), 0o600),
    () => fs.renameSync(file('old'), file('new')),
    () => fs.writeFileSync(Buffer.concat([Buffer.from(`${directory}/not `), Buffer.from([0xff])]), ''),
  ]) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    change();
    const after = await stateOf();
    assert.is.not(after, before, String(change));
    before = after;
  }
});
trees('a state of an impossible length is an error', () => {
  assert.throws(() => parseTreeState('1234567'), 'an impossible length');
});
treesIn('removeTree removes everything but the directory, and follows no link', async (directory) => {
  writeFiles(directory, { 'tree/d/go': '', 'tree/e/f/go': '', 'outside/stays': '' });
  fs.symlinkSync('../../outside', path.join(directory, 'tree/e/link'));
  execFileSync('mkfifo', [path.join(directory, 'tree/fifo')]);
  assert.equal(await removeTree(path.join(directory, 'tree'), nothing), []);
  assert.equal(fs.readdirSync(directory, { recursive: true }).toSorted(), [
    'outside',
    'outside/stays',
    'tree',
  ]);
});
treesIn('an error of pause ends removeTree', async (directory) => {
  writeFiles(directory, { a: '', b: '' });
  const stop = () => {
    throw new Error('stopped');
  };
  const error = await errorOf(removeTree(directory, stop));
  assert.is(error.message, 'stopped');
  assert.is(fs.readdirSync(directory).length, 2);
});
trees.run();
