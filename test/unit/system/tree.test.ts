import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import {
  type WalkedFile,
  lastChange,
  parseTreeState,
  readTreeState,
  removeTree,
} from '../../../agent/system/tree.ts';
import { inDirectories, writeFiles } from '../../harness/temporary.ts';
import { errorOf } from '../../harness/rejection.ts';

const nothing = () => undefined;

/** Returns, for each file of a tree, whether the file is unchanged since the state was read. */
async function unchanged(directory: string, text: string): Promise<Record<string, boolean>> {
  const state = parseTreeState(text);
  const found: Record<string, boolean> = {};
  await removeTree(
    directory,
    nothing,
    (file) => {
      found[file.name] = state.has(file.name, file.state);
      return false;
    },
    nothing,
  );
  return found;
}

const trees = suite('trees');
const treesIn = inDirectories(trees);
treesIn(
  'a state has every unchanged file, and none that was changed, added or renamed',
  async (directory) => {
    const bytes = Buffer.concat([Buffer.from(`${directory}/not `), Buffer.from([0xff])]);
    writeFiles(directory, {
      'd/same': 'x',
      'd/content': 'x',
      mode: 'x',
      link: { linkTo: 'nowhere' },
      old: 'x',
    });
    fs.writeFileSync(bytes, '');
    execFileSync('mkfifo', [path.join(directory, 'fifo')]);
    const text = (await readTreeState(directory, nothing)).text();
    assert.is(text.length, 8 * 8);
    const before = await unchanged(directory, text);
    assert.equal(
      Object.values(before),
      Array.from({ length: 8 }, () => true),
    );
    assert.ok('not \xff' in before);
    await new Promise((resolve) => setTimeout(resolve, 20));
    fs.writeFileSync(path.join(directory, 'd/content'), 'y');
    fs.chmodSync(path.join(directory, 'mode'), 0o600);
    fs.renameSync(path.join(directory, 'old'), path.join(directory, 'new'));
    const {
      'd/same': same,
      'd/content': content,
      mode,
      new: renamed,
      d,
      link,
    } = await unchanged(directory, text);
    assert.equal(
      { same, content, mode, renamed, d, link },
      { ...{ same: true, d: true, link: true }, ...{ content: false, mode: false, renamed: false } },
    );
  },
);
trees('a state of an impossible length is an error', () => {
  assert.throws(() => parseTreeState('1234567'), 'an impossible length');
});
treesIn(
  'removeTree removes dispensable files and empty directories, and names the others',
  async (directory) => {
    writeFiles(directory, { 'd/keep': '', 'd/go': '', 'e/f/go': '', outside: '' });
    fs.symlinkSync(path.join(directory, 'd'), path.join(directory, 'e/link'));
    const kept: string[] = [];
    await removeTree(
      directory,
      nothing,
      ({ name }) => !/keep|outside/.test(name),
      (name) => kept.push(name),
    );
    assert.equal(kept, ['d/keep', 'outside']);
    assert.equal(fs.readdirSync(directory, { recursive: true }).toSorted(), ['d', 'd/keep', 'outside']);
  },
);
treesIn(
  'other names of a removed file have its former ctime, unless the file is changed meanwhile',
  async (directory) => {
    writeFiles(directory, { a: 'x', p: 'y' });
    fs.linkSync(path.join(directory, 'a'), path.join(directory, 'b'));
    fs.linkSync(path.join(directory, 'p'), path.join(directory, 'q'));
    const state = await readTreeState(directory, nothing);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const kept: string[] = [];
    const isDispensable = ({ name, state: now }: WalkedFile) => state.has(name, now);
    let walked = 0;
    // Between the two reads, the second file is changed through its other name.
    const pause = () => {
      walked += 1;
      if (walked === 4) fs.writeFileSync(path.join(directory, 'q'), 'z');
    };
    await removeTree(directory, pause, isDispensable, (name) => kept.push(name));
    assert.equal(kept, ['q']);
    assert.equal(fs.readdirSync(directory), ['q']);
  },
);
treesIn('an error of pause ends removeTree', async (directory) => {
  writeFiles(directory, { a: '', b: '' });
  const stop = () => {
    throw new Error('stopped');
  };
  const error = await errorOf(removeTree(directory, stop, () => true, nothing));
  assert.is(error.message, 'stopped');
  assert.is(fs.readdirSync(directory).length, 2);
});
treesIn('lastChange returns the ctime of a file, or of its nearest directory', (directory) => {
  writeFiles(directory, { 'd/a': '', file: '' });
  const changed = (name: string) => fs.lstatSync(path.join(directory, name)).ctimeMs;
  assert.is(lastChange(directory, 'd/a'), changed('d/a'));
  assert.is(lastChange(directory, 'd/gone/too'), changed('d'));
  assert.is(lastChange(directory, 'file/was a directory'), changed('file'));
  assert.is(lastChange(directory, 'gone'), changed('.'));
});
trees.run();
