import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  MovedError,
  findContent,
  openGeneration,
  rotatedFiles,
  untilSame,
} from '../../../../agent/forward/files/generations.ts';
import { Tail } from '../../../../agent/forward/files/tail.ts';
import { openLogFile } from '../../../../agent/system/log-file.ts';
import { inDirectories } from '../../../harness/temporary.ts';

const generations = suite('the files that rotation makes of a log');
const generationsIn = inDirectories(generations);

/** Creates files with these mtimes, in seconds. */
function create(directory: string, files: Record<string, number>): void {
  for (const [name, time] of Object.entries(files)) {
    fs.writeFileSync(`${directory}/${name}`, `${name}\n`);
    fs.utimesSync(`${directory}/${name}`, time, time);
  }
}

const namesOf = (log: string) => rotatedFiles(log).map(({ file }) => path.basename(file));

generationsIn(
  'they are found in the order in which they were written, without compressed and other files',
  (directory) => {
    create(directory, {
      ...{ 'app.log': 9, 'app.log.1': 8, 'app.log.2': 7, 'app.log.10': 3, 'app.log-20260131': 5 },
      ...{ 'app.log.3.gz': 4, 'app.log-1.xz': 4, 'app.log.4.Z': 4, 'app.logs': 4, 'other.log.1': 4 },
    });
    assert.equal(namesOf(`${directory}/app.log`), [
      'app.log.10',
      'app.log-20260131',
      'app.log.2',
      'app.log.1',
    ]);
  },
);

generationsIn('of two files with the same time, the one with the higher number is older', (directory) => {
  create(directory, { 'app.log.9': 5, 'app.log.10': 5, 'app.log.2': 5 });
  assert.equal(namesOf(`${directory}/app.log`), ['app.log.10', 'app.log.9', 'app.log.2']);
});

generations('a directory that does not exist has none', () => {
  assert.equal(rotatedFiles('/nonexistent/app.log'), []);
});

generationsIn('content is found by its inode, and otherwise in a copy', (directory) => {
  const log = `${directory}/app.log`;
  fs.writeFileSync(log, 'a\nb\n');
  const tail = new Tail({ id: 1, path: log, audit: false }, openLogFile(log), 4);
  const record = tail.record();
  tail.close();
  const found = () => {
    const it = findContent(rotatedFiles(log), record);
    it?.file.close();
    return it === undefined ? undefined : path.basename(it.generation.file);
  };
  fs.copyFileSync(log, `${log}.1`);
  fs.renameSync(log, `${log}.2`);
  assert.is(found(), 'app.log.2');
  fs.appendFileSync(`${log}.2`, 'c\n');
  assert.is(found(), 'app.log.2');
  // Neither the inode nor the beginning proves the content.
  fs.writeFileSync(`${log}.2`, 'a\nx\nc\n');
  assert.is(found(), 'app.log.1');
  fs.truncateSync(`${log}.1`, 2);
  assert.is(found(), undefined);
});

generationsIn('files are listed until two listings agree, at most five times', (directory) => {
  create(directory, { 'app.log.1': 5, 'app.log.2': 5 });
  const [second, first] = rotatedFiles(`${directory}/app.log`);
  assert.ok(first && second);
  const listings = [[first], [second, first], [second, first], []];
  assert.equal(
    untilSame(() => listings.shift() ?? []),
    [second, first],
  );
  assert.is(listings.length, 1);
  let count = 0;
  assert.is(untilSame(() => Array.from({ length: (count += 1) }, () => first)).length, 5);
});

const isMoved = (error: unknown) => error instanceof MovedError;

generationsIn('a file is not opened if another one has its name meanwhile', (directory) => {
  create(directory, { 'app.log.1': 5 });
  const [generation] = rotatedFiles(`${directory}/app.log`);
  assert.ok(generation);
  openGeneration(generation)?.close();
  fs.renameSync(`${directory}/app.log.1`, `${directory}/app.log.2`);
  assert.throws(() => openGeneration(generation), isMoved);
  create(directory, { 'app.log.1': 5 });
  assert.throws(() => openGeneration(generation), isMoved);
});

generations.run();
