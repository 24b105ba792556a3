import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { mock } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FileReader } from '../../../../agent/forward/files/file-reader.ts';
import { matchOf } from '../../../../agent/forward/files/patterns.ts';
import { linesOf, logFiles } from '../../../harness/log-sources.ts';

const shortLived = suite('log files that exist for a short time');

/** Log files in a directory, which a reader reads with real timers if it is `connected`. */
function begin(pattern: string, { connected = true } = {}) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'short-lived-'));
  const files = logFiles([`${directory}/${pattern}`]);
  const [lines, lost]: [string[], string[]] = [[], []];
  const reader = new FileReader(files, {
    lines: (chunk) => lines.push(...linesOf([chunk])),
    lost: (text) => lost.push(text.replaceAll(directory, '')),
  });
  files.watch();
  if (connected) reader.start();
  ends.push(() => {
    reader.stop();
    fs.rmSync(directory, { recursive: true });
  });
  return { directory, files, reader, lines, lost };
}

const ends: (() => void)[] = [];
shortLived.after.each(() => {
  for (const end of ends.splice(0)) end();
});

const write = (file: string) => fs.writeFileSync(file, `${path.basename(file)}\n`);

shortLived('a file is read at once, also in a directory that appeared before', async () => {
  const { directory, files, lines, lost } = begin('*/*.log');
  fs.mkdirSync(`${directory}/app`);
  await sleep(1100);
  write(`${directory}/app/job.log`);
  // Without inotify, the next comparison of the mtimes would find it, up to a second later.
  const began = performance.now();
  await soon(() => lines.length > 0);
  assert.ok(performance.now() - began < 700);
  fs.rmSync(`${directory}/app/job.log`);
  await sleep(1200);
  assert.equal([lines, lost, files.missedFiles], [['job.log'], [], 0]);
});

shortLived('without inotify, a file is read after a second at most', async () => {
  mock.method(fs, 'watch', () => {
    throw new Error('no inotify');
  });
  const { directory, lines, lost } = begin('*.log');
  mock.restoreAll();
  await sleep(1200);
  write(`${directory}/job.log`);
  await soon(() => lines.length > 0);
  fs.rmSync(`${directory}/job.log`);
  assert.equal([lines, lost], [['job.log'], []]);
});

shortLived('files that are removed at once are counted, and reported together', async () => {
  const { directory, files, lines, lost } = begin('*.log');
  await sleep(100);
  for (const name of ['one', 'two', 'three']) {
    write(`${directory}/${name}.log`);
    fs.rmSync(`${directory}/${name}.log`);
  }
  await sleep(1500);
  assert.equal([lines, files.missedFiles], [[], 3]);
  assert.equal(lost, [
    'the lines of /three.log and 2 other files are lost, because they were removed before they could be read',
  ]);
});

shortLived(
  'without a server, removed files are counted and reported later, and no new file is held open',
  async () => {
    const { directory, files, reader, lines, lost } = begin('*.log', { connected: false });
    write(`${directory}/kept.log`);
    write(`${directory}/job.log`);
    await sleep(100);
    assert.equal([openBelow(directory), files.missedFiles], [[], 0]);
    fs.rmSync(`${directory}/job.log`);
    await sleep(100);
    assert.equal([lost, files.missedFiles], [[], 1]);
    reader.start();
    assert.is(lost.length, 1);
    assert.match(lost.join(), '/job.log ');
    await sleep(100);
    assert.equal([lines, files.missedFiles], [['kept.log'], 1]);
  },
);

shortLived('what is no log, or was read, is not counted when it is removed', async () => {
  const { directory, files, lines, lost } = begin('*');
  fs.mkdirSync(`${directory}/old`);
  fs.symlinkSync('/dev/null', `${directory}/link`);
  await sleep(100);
  fs.mkdirSync(`${directory}/new`);
  for (const name of ['read', 'read.1', 'job.gz']) write(`${directory}/${name}`);
  await soon(() => lines.length > 1);
  for (const name of ['old', 'new', 'link', 'read', 'read.1', 'job.gz'])
    fs.rmSync(`${directory}/${name}`, { recursive: true });
  await sleep(1200);
  assert.equal([lines.toSorted(), lost, files.missedFiles], [['read', 'read.1'], [], 0]);
});

shortLived('the removal of a directory is not that of a log in it', async () => {
  const { directory, files, lost } = begin('*/*');
  fs.mkdirSync(`${directory}/app`);
  await sleep(1500);
  fs.rmdirSync(`${directory}/app`);
  await sleep(1200);
  assert.equal([lost, files.missedFiles], [[], 0]);
});

for (const [pattern, file, expected] of [
  ['/var/log/*.log', '/var/log/a.log', 'log'],
  ['/var/log/*.log', '/var/log/a.txt', undefined],
  ['/var/log/*.log', '/var/log/a/b.log', undefined],
  ['/var/log/*/app.log', '/var/log/a', 'directory'],
  ['/var/log/*/app.log', '/var/lib', undefined],
  ['/var/log/*', '/var/log/a.gz', undefined],
  ['/var/log//a.gz', '/var/log/a.gz', 'log'],
] as const) {
  shortLived(`${pattern} and ${file}: ${expected}`, () => assert.is(matchOf(pattern, file), expected));
}

shortLived.run();

/** Waits for less than the five seconds between two searches without a reason. */
async function soon(condition: () => boolean): Promise<void> {
  for (let waited = 0; waited < 3000 && !condition(); waited += 20) await sleep(20);
}

/** Returns the files of a directory that this process has open. */
function openBelow(directory: string): string[] {
  return fs
    .readdirSync('/proc/self/fd')
    .flatMap((fd) => {
      try {
        return [fs.readlinkSync(`/proc/self/fd/${fd}`)];
      } catch {
        return [];
      }
    })
    .filter((file) => file.startsWith(`${directory}/`));
}
