import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { expandPattern } from '../../../../agent/forward/files/patterns.ts';
import { filePosition } from '../../../../agent/forward/stages.ts';
import { chunksOf, forwardedLines, linesOf, logFiles } from '../../../harness/log-sources.ts';
import { inDirectories } from '../../../harness/temporary.ts';

const sources = suite('the logs of FORWARD_FILES');

/** Adds a test, which receives the path of a log in a new directory. */
const sourcesIn = (title: string, test: (log: string, directory: string) => void) =>
  inDirectories(sources)(title, (directory) => test(path.join(directory, 'app.log'), directory));

/** What is in the place of a log, and the expected error without the path. */
const refused: Record<string, [(log: string, directory: string) => void, string]> = {
  'a symbolic link': [
    (log, directory) => {
      fs.writeFileSync(`${directory}/secret`, 'secret\n');
      fs.symlinkSync('secret', log);
    },
    'a symbolic link; name its target',
  ],
  'a symbolic link to nothing': [(log) => fs.symlinkSync('nothing', log), 'a symbolic link; name its target'],
  'a FIFO': [(log) => execFileSync('mkfifo', [log]), 'not a regular file'],
  'a directory': [(log) => fs.mkdirSync(log), 'not a regular file'],
};

for (const [title, [make, expected]] of Object.entries(refused))
  sourcesIn(`${title} is refused at once, with the reason, and other logs are read`, (log, directory) => {
    make(log, directory);
    fs.writeFileSync(`${directory}/other.log`, 'other\n');
    const files = logFiles([`${directory}//app.log`, `${directory}/*.log`]);
    assert.equal(linesOf(chunksOf(files)), ['other']);
    const [source, other] = files.state();
    assert.equal([source?.path, source?.error], [log, `${log}: ${expected}`]);
    assert.is(other?.error, '');
    assert.equal(
      files.records().map((record) => record.path),
      [`${directory}/other.log`],
    );
    fs.rmSync(log, { recursive: true });
    fs.writeFileSync(log, 'now a file\n');
    assert.equal(linesOf(chunksOf(files, 1000)), ['now a file']);
    assert.is(files.state()[0]?.error, '');
  });

sourcesIn('a directory on the way that is a symbolic link is refused', (_, directory) => {
  fs.mkdirSync(`${directory}/real`);
  fs.writeFileSync(`${directory}/real/app.log`, 'a\n');
  fs.symlinkSync('real', `${directory}/link`);
  const trusted = logFiles([`${directory}/link/app.log`]);
  assert.equal(linesOf(chunksOf(trusted)), ['a']);
  // Another user owns the directory, and could have made the link.
  fs.chownSync(directory, 4242, 4242);
  const files = logFiles([`${directory}/link/app.log`]);
  assert.equal(chunksOf(files), []);
  assert.match(files.state()[0]?.error ?? '', 'link');
});

sourcesIn('names that look like rotations and are no files do not keep the reader busy', (log) => {
  fs.writeFileSync(log, 'a\n');
  const files = logFiles([log]);
  assert.equal(linesOf(chunksOf(files)), ['a']);
  fs.renameSync(log, `${log}.1`);
  fs.mkdirSync(`${log}.2`);
  fs.symlinkSync('/etc/passwd', `${log}.3`);
  assert.equal(chunksOf(files, 2000), []);
  fs.writeFileSync(log, 'b\n');
  assert.equal(linesOf(chunksOf(files, 4000)), ['b']);
});

sourcesIn('many lines in one chunk are divided', (log) => {
  fs.writeFileSync(log, '\n'.repeat(5000));
  const chunks = chunksOf(logFiles([log]));
  assert.equal(
    chunks.map(({ text }) => text.length),
    [1024, 1024, 1024, 1024, 904],
  );
});

sourcesIn('of many rotated files, the newest ones are read', (log) => {
  fs.writeFileSync(log, 'one\n');
  const first = logFiles([log]);
  forwardedLines(first);
  for (let day = 0; day < 250; day += 1) {
    const old = `${log}-2025${String(1000 + day)}`;
    fs.writeFileSync(old, 'old\n');
    fs.utimesSync(old, 1_000_000 + day, 1_000_000 + day);
  }
  fs.appendFileSync(log, 'two\n');
  fs.renameSync(log, `${log}-20260202`);
  fs.writeFileSync(log, 'three\n');
  const again = logFiles([log], { records: first.records() });
  assert.equal(linesOf(chunksOf(again)), ['two', 'three']);
});

sourcesIn(
  'a program that goes on writing to the file that was rotated last is read for as long as it writes',
  (log) => {
    fs.writeFileSync(log, 'a\n');
    const files = logFiles([log]);
    const read = (now: number) => forwardedLines(files, now);
    assert.equal(read(0), ['a']);
    fs.renameSync(log, `${log}.1`);
    fs.writeFileSync(log, '');
    for (const minute of [1, 2, 3]) {
      read(minute * 60_000);
      fs.appendFileSync(`${log}.1`, `${minute}\n`);
      assert.equal(read(minute * 60_000 + 1000), [String(minute)]);
    }
  },
);

sourcesIn('a pattern that matches rotated files as well sends each line once', (log, directory) => {
  fs.writeFileSync(`${log}.1`, 'old\n');
  fs.writeFileSync(log, 'a\n');
  const files = logFiles([`${directory}/*`]);
  assert.equal(linesOf(chunksOf(files)).sort(), ['a', 'old']);
  fs.renameSync(`${log}.1`, `${log}.2`);
  fs.renameSync(log, `${log}.1`);
  fs.writeFileSync(log, 'b\n');
  assert.equal(linesOf(chunksOf(files, 20_000)), ['b']);
});

sourcesIn(
  'a directory full of files does not take the place of a log that is named in full',
  (_, directory) => {
    fs.mkdirSync(`${directory}/many`);
    for (let number = 0; number < 250; number += 1)
      fs.writeFileSync(`${directory}/many/${number}.log`, 'x\n');
    fs.writeFileSync(`${directory}/named.log`, 'named\n');
    const problems: string[] = [];
    const trouble = (reason: string) => void problems.push(reason);
    const files = logFiles([`${directory}/many/*.log`, `${directory}/named.log`], { trouble });
    assert.ok(linesOf(chunksOf(files)).includes('named'));
    assert.match(problems[0] ?? '', 'matches more than 200 files');
  },
);

sourcesIn('logs that no longer exist make room for others', (_, directory) => {
  for (let number = 0; number < 200; number += 1) fs.writeFileSync(`${directory}/${number}.log`, 'x\n');
  const files = logFiles([`${directory}/*.log`]);
  forwardedLines(files);
  fs.rmSync(`${directory}/7.log`);
  fs.writeFileSync(`${directory}/new.log`, 'new\n');
  assert.equal(forwardedLines(files, 20_000), ['new']);
  assert.is(files.state().find(({ path: name }) => name.endsWith('/new.log'))?.behindBytes, 0);
});

sourcesIn('what is lost is counted once, even if the log never comes back', (log) => {
  fs.writeFileSync(log, 'one\ntwo\n');
  const first = logFiles([log]);
  const [chunk] = chunksOf(first);
  first.acknowledge(`${chunk?.id ?? 0}:4`);
  const records = first.records();
  fs.rmSync(log);
  const files = logFiles([log], { records });
  const lost: string[] = [];
  files.attach({ lost: (text) => lost.push(text) });
  for (let now = 0; now < 10_000; now += 2000) assert.equal(chunksOf(files, now), []);
  assert.equal(lost.length, 1, lost.join('\n'));
  assert.match(lost[0] ?? '', /^4 bytes of /);
});

sourcesIn(
  'a link that takes the place of an open log is refused, and the log is read to its end',
  (log, directory) => {
    fs.writeFileSync(log, 'a\n');
    fs.writeFileSync(`${directory}/secret`, 'secret\n');
    const files = logFiles([log]);
    assert.equal(linesOf(chunksOf(files)), ['a']);
    fs.renameSync(log, `${log}.1`);
    fs.appendFileSync(`${log}.1`, 'b\n');
    fs.symlinkSync('secret', log);
    assert.equal(linesOf(chunksOf(files, 1000)), ['b']);
    assert.match(files.state()[0]?.error ?? '', 'a symbolic link');
  },
);

sourcesIn('a rotated file that is a link is not read', (log, directory) => {
  fs.writeFileSync(`${directory}/secret`, 'secret\n');
  fs.symlinkSync('secret', `${log}.1`);
  fs.writeFileSync(log, 'a\n');
  assert.equal(linesOf(chunksOf(logFiles([log]))), ['a']);
});

sourcesIn('a log that does not exist is no error, and is read when it appears', (log) => {
  const files = logFiles([log]);
  assert.equal([chunksOf(files), files.state()], [[], []]);
  fs.writeFileSync(log, 'a\n');
  assert.equal(linesOf(chunksOf(files, 1000)), ['a']);
});

sourcesIn(
  '* matches neither compressed files nor rotated files of other logs nor hidden files',
  (_, directory) => {
    const names = ['app-1.log', 'app-2.log', 'app-2.log.1', 'app-3.log.gz', 'app-4.txt', '.app-5.log'];
    for (const name of names) fs.writeFileSync(`${directory}/${name}`, `${name}\n`);
    const matched = (pattern: string) =>
      expandPattern(`${directory}/${pattern}`, assert.unreachable).map((file) => path.basename(file));
    assert.equal(matched('app-*.log'), ['app-1.log', 'app-2.log']);
    assert.equal(matched('app-3*'), []);
    assert.equal(matched('app-?.txt'), ['app-4.txt']);
    assert.equal(matched('app-[13-9].*'), ['app-4.txt', 'app-1.log'].sort());
    assert.equal(matched('*5.log'), []);
    assert.equal(expandPattern(`${directory}/absent/*.log`, assert.unreachable), []);
    assert.equal(matched('absent.log'), ['absent.log']);
  },
);

/** Puts a directory, a FIFO without a writer, and links into a directory. Opening the FIFO to read blocks. */
function makeOthers(directory: string): void {
  fs.mkdirSync(`${directory}/directory`);
  execFileSync('mkfifo', [`${directory}/fifo`]);
  fs.symlinkSync('app', `${directory}/link`);
  fs.symlinkSync('none', `${directory}/dangling`);
}

sourcesIn(
  '* leaves out directories, FIFOs and links, also those that take the place of a log',
  (log, directory) => {
    const app = `${directory}/app`;
    fs.writeFileSync(app, 'a\n');
    makeOthers(directory);
    const files = logFiles([`${directory}/*`]);
    assert.equal(linesOf(chunksOf(files)), ['a']);
    assert.equal(
      files.state().map(({ path: name, error }) => [name, error]),
      [[app, '']],
    );
    fs.appendFileSync(app, 'b\n');
    fs.renameSync(app, log);
    fs.renameSync(`${directory}/fifo`, app);
    assert.equal(linesOf(chunksOf(files, 10_000)).toSorted(), ['a', 'b', 'b']);
    assert.equal(
      files.state().filter(({ error }) => error !== ''),
      [],
    );
  },
);

sourcesIn('a directory that cannot be read hides no log of another one', (_, directory) => {
  for (const name of ['a', 'c']) {
    fs.mkdirSync(`${directory}/${name}`);
    fs.writeFileSync(`${directory}/${name}/app.log`, `${name}\n`);
  }
  // No directory denies access to root.
  fs.symlinkSync('b', `${directory}/b`);
  const troubles: string[] = [];
  const files = logFiles([`${directory}/*/*.log`], { trouble: (reason) => troubles.push(reason) });
  assert.equal(linesOf(chunksOf(files)), ['a', 'c']);
  assert.equal(troubles, [`FORWARD_FILES: ${directory}/b: too many symbolic links encountered`]);
});

/** Reads and acknowledges everything for some seconds. @returns the texts, and the reports of losses */
function forwarded(log: string, seconds = 8, write: (second: number) => void = () => undefined) {
  const files = logFiles([log]);
  const reports: string[] = [];
  files.attach({ lost: (text) => reports.push(text.replace(log, 'LOG')) });
  const texts: string[] = [];
  for (let now = 0; now <= seconds * 1000; now += 100) {
    if (now % 1000 === 0) write(now / 1000);
    for (let chunk = files.next(now); chunk !== undefined; chunk = files.next(now)) {
      texts.push(chunk.text);
      files.acknowledge(filePosition(chunk.id, chunk.offset + chunk.text.length));
    }
  }
  return { texts, reports, state: files.state()[0] };
}

const [mebibyte, tebibyte] = [2 ** 20, 2 ** 40];

sourcesIn(
  'a log that was made sparse floods no server, and what is written afterwards arrives at once',
  (log) => {
    fs.writeFileSync(log, 'a\n');
    fs.truncateSync(log, tebibyte);
    fs.appendFileSync(log, 'b\n');
    const began = process.cpuUsage();
    const { texts, reports, state } = forwarded(log);
    const { user, system } = process.cpuUsage(began);
    assert.ok(user + system < 3e6, `${(user + system) / 1e6} s`);
    assert.equal(texts, ['a\n', 'b\n']);
    const skipped = 16 * mebibyte;
    const { blocks } = fs.statSync(log);
    const lost = tebibyte + 2 - blocks * 512 - skipped - 2;
    assert.equal(reports, [
      `${skipped} NUL bytes of LOG were skipped: the file has holes`,
      `${lost} bytes of LOG are lost, because the file is sparse, and more than 1 GiB of it are holes`,
    ]);
    assert.equal([state?.behindBytes, state?.lostBytes], [0, lost]);
  },
);

sourcesIn(
  'after copytruncate, a program writes at its old offset: nothing is lost, the hole is skipped',
  (log) => {
    const fd = fs.openSync(log, 'w');
    const write = (text: string, offset: number) => fs.writeSync(fd, text, offset);
    write('a\n', 100 * mebibyte);
    write('b\n', 140 * mebibyte);
    const { texts, reports, state } = forwarded(log, 4);
    fs.closeSync(fd);
    assert.equal(texts, ['a\n', 'b\n']);
    assert.equal(reports, [
      `${100 * mebibyte} NUL bytes of LOG were skipped: the file has holes`,
      `${40 * mebibyte - 2} NUL bytes of LOG were skipped: the file has holes`,
    ]);
    assert.equal([state?.behindBytes, state?.lostBytes], [0, 0]);
  },
);

sourcesIn('few NUL bytes are a part of their line', (log) => {
  const text = `a${'\0'.repeat(4095)}b\n`;
  fs.writeFileSync(log, text);
  const { texts, reports } = forwarded(log, 1);
  assert.equal([texts, reports], [[text], []]);
});

sourcesIn('NUL bytes at the end may not be all that is written there: they are skipped after 5 s', (log) => {
  fs.writeFileSync(log, 'a\n');
  const fd = fs.openSync(log, 'r+');
  fs.ftruncateSync(fd, 100_000);
  const { texts, reports, state } = forwarded(log, 12, (second) => {
    if (second === 4) fs.writeSync(fd, 'late\n', 2);
    if (second === 11) fs.appendFileSync(log, 'b\n');
  });
  fs.closeSync(fd);
  assert.equal([texts, reports], [['a\n', 'late\n', 'b\n'], []]);
  assert.is(state?.behindBytes, 0);
});

sourcesIn('a new log that a pattern matches is found after at most 5 s', (_, directory) => {
  const files = logFiles([`${directory}/*.log`]);
  assert.equal(chunksOf(files, 0), []);
  fs.writeFileSync(`${directory}/new.log`, 'a\n');
  assert.equal(chunksOf(files, 4999), []);
  assert.equal(linesOf(chunksOf(files, 5000)), ['a']);
});

sourcesIn(
  'of more than 200 logs, the first 200 are read, and the first one too many is named',
  (_, directory) => {
    for (let n = 100; n < 302; n += 1) fs.writeFileSync(`${directory}/${n}.log`, `${n}\n`);
    const troubles: string[] = [];
    const files = logFiles([`${directory}/*.log`], { trouble: (reason) => troubles.push(reason) });
    assert.is(new Set(linesOf(chunksOf(files))).size, 200);
    assert.equal(troubles, [
      `FORWARD_FILES matches more than 200 files; ${directory}/300.log is not forwarded`,
    ]);
    assert.is(files.state().length, 200);
  },
);

sourcesIn('the logs take turns', (_, directory) => {
  const line = `${'x'.repeat(1023)}\n`;
  for (const name of ['a', 'b']) fs.writeFileSync(`${directory}/${name}.log`, line.repeat(1024));
  const paths = chunksOf(logFiles([`${directory}/*.log`])).map((chunk) => path.basename(chunk.path));
  assert.equal(paths.slice(0, 4), ['a.log', 'b.log', 'a.log', 'b.log']);
});

sourcesIn(
  'firstOffset: what is on the sealed disk is not sent, except if the log was forwarded before',
  (log) => {
    fs.writeFileSync(log, 'sealed\n');
    const first = logFiles([log], { firstOffset: () => 7 });
    assert.equal(chunksOf(first), []);
    assert.is(first.state()[0]?.behindBytes, 0);
    fs.appendFileSync(log, 'a\n');
    const chunks = chunksOf(first, 1);
    assert.equal(linesOf(chunks), ['a']);
    const [id = 0] = chunks.map((chunk) => chunk.id);
    first.acknowledge(`${id}:9`);
    fs.appendFileSync(log, 'b\n');
    assert.equal(linesOf(chunksOf(logFiles([log], { records: first.records(), firstOffset: () => 7 }))), [
      'b',
    ]);
  },
);

sourcesIn('firstOffset: an offset after the end of the log is ignored', (log) => {
  fs.writeFileSync(log, 'a\n');
  assert.equal(linesOf(chunksOf(logFiles([log], { firstOffset: () => 3 }))), ['a']);
});

sourcesIn('the state counts acknowledged and waiting bytes', (log) => {
  fs.writeFileSync(log, 'a\nbb\n');
  const files = logFiles([log]);
  const [chunk] = chunksOf(files);
  files.acknowledge(`${chunk?.id ?? 0}:2`);
  const fields = { path: log, acknowledgedBytes: 2, behindBytes: 3, lostBytes: 0, error: '' };
  assert.is(JSON.stringify(files.state()), JSON.stringify([fields]), 'also the order');
  files.acknowledge(`${chunk?.id ?? 0}:1`);
  assert.is(files.state()[0]?.acknowledgedBytes, 2);
  files.acknowledge('77:5');
  files.acknowledge('nonsense');
});

sourcesIn('what was truncated before it could be read is counted as lost, and reported once', (log) => {
  fs.writeFileSync(log, 'a\n');
  const files = logFiles([log]);
  const lost: string[] = [];
  files.attach({ lost: (text) => lost.push(text) });
  assert.equal(linesOf(chunksOf(files)), ['a']);
  fs.appendFileSync(log, 'not complete');
  assert.equal(chunksOf(files, 1), []);
  fs.truncateSync(log);
  fs.utimesSync(log, 2_000_000_000, 2_000_000_000);
  assert.equal(chunksOf(files, 2), []);
  assert.is(files.state()[0]?.lostBytes, 12);
  assert.equal(lost, [`12 bytes of ${log} are lost, because it was truncated before it could be read`]);
});

sourcesIn('a log that was removed before its end could be read is counted after a restart', (log) => {
  fs.writeFileSync(log, 'a\nb\n');
  const before = logFiles([log]);
  const [chunk] = chunksOf(before);
  before.acknowledge(`${chunk?.id ?? 0}:2`);
  const records = before.records();
  fs.rmSync(log);
  fs.writeFileSync(log, 'a new log\n');
  const files = logFiles([log], { records });
  assert.equal(linesOf(chunksOf(files)), ['a new log']);
  assert.is(files.state()[0]?.lostBytes, 2);
});

sources.run();
