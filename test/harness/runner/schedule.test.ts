import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inTemporaryDirectory, writeFiles } from '../temporary.ts';
import { idleShare, spaceWarning } from './run-all.ts';
import { type Job, Schedule, durationsFile, recordDurations, warmFile } from './schedule.ts';
import { isScenario } from './scenarios.ts';
import { type Selection, selectFiles } from './selection.ts';

const root = path.join(import.meta.dirname, '../../..');

const selection = suite('selectFiles');
const select = (extent: Selection['extent'], ...filters: string[]) => selectFiles(root, { filters, extent });

selection('--all and --long together select every file once, without the fixtures', () => {
  const [all, long] = [select('all'), select('long')];
  const files = [...all, ...long];
  assert.ok(long.length > 0 && long.every((file) => file.startsWith('test/vm/long/')));
  assert.not.ok(all.some((file) => file.startsWith('test/vm/long/')));
  assert.is(files[0], 'test/lint.ts');
  assert.ok(files.includes('test/harness/runner/schedule.test.ts'));
  assert.not.ok(files.some((file) => file.includes('fixtures')));
  assert.is(new Set(files).size, files.length);
});

selection('without arguments: no guest matrix, and of test/wire only the smoke tests', () => {
  const [files, all] = [select('quick'), select('all')];
  const left = all.filter((file) => !files.includes(file));
  assert.ok(left.length > 0 && files.every((file) => all.includes(file)));
  for (const file of left) {
    assert.match(file, /^test\/(vm\/matrix|wire|system|monitoring|packaging\/release)\//);
    assert.not.match(file, /\/smoke\//);
  }
  assert.not.ok(files.some((file) => file.startsWith('test/vm/matrix/')));
});

selection('--change selects every file of --all without guests, and a part of the scenarios', () => {
  const [change, every] = [select('change'), [...select('all'), ...select('long')]];
  const left = every.filter((file) => !change.includes(file));
  assert.ok(left.length > 0 && left.every(isScenario), left.join(' '));
  assert.ok(change.some(isScenario) && change.every((file) => every.includes(file)));
});

selection('a filter selects among all files', () => {
  const files = select('quick', 'vm/matrix/modes', 'vm/long/update.', 'runner/schedule');
  assert.equal(files, [
    'test/harness/runner/schedule.test.ts',
    'test/vm/long/update.test.ts',
    'test/vm/matrix/modes.test.ts',
  ]);
});

for (const [title, folder, isSelected] of [
  ['without the sources of RHEL, the file that needs them is left out, and named', undefined, false],
  ['with the sources of RHEL', '/sources', true],
] as const)
  selection(title, () => {
    const [before, file] = [process.env['EL_SOURCES'], 'test/el/module.test.ts'];
    const printed: string[] = [];
    const print = (text: string) => void printed.push(text);
    try {
      if (folder === undefined) delete process.env['EL_SOURCES'];
      else process.env['EL_SOURCES'] = folder;
      for (const extent of ['quick', 'all'] as const) {
        assert.is(selectFiles(root, { filters: [], extent }, print).includes(file), isSelected);
        assert.is(printed.splice(0).join('').includes(`left out  ${file}: EL_SOURCES`), !isSelected);
      }
      assert.equal(selectFiles(root, { filters: ['el/module'], extent: 'quick' }, print), [file]);
    } finally {
      if (before === undefined) delete process.env['EL_SOURCES'];
      else process.env['EL_SOURCES'] = before;
    }
  });
selection.run();

const schedule = suite('Schedule');
const smoke = (name: string) => `test/vm/smoke/${name}.test.ts`;

schedule(
  'guests wait for the shared trees; two run at a time, the longest first, while other files wait, then three',
  () => {
    const guests = ['control', 'sealed', 'faults', 'package'].map(smoke);
    const durations = JSON.stringify({
      [smoke('faults')]: 140,
      [smoke('package')]: 190,
      [smoke('sealed')]: 120,
    });
    const jobs = inTemporaryDirectory((project) => {
      writeFiles(project, { [warmFile]: '', [durationsFile]: durations });
      return new Schedule(project, ['test/lint.ts', 'test/unit/a.test.ts', ...guests]);
    });
    const take = (): Job | undefined => jobs.take();
    const [warm, lint] = [take(), take()];
    assert.equal([warm?.file, lint?.file], [warmFile, 'test/lint.ts']);
    if (warm) jobs.done(warm);
    if (lint) jobs.done(lint);
    const [first, second, other] = [take(), take(), take()];
    assert.equal(
      [first?.file, second?.file, other?.file],
      [smoke('package'), smoke('faults'), 'test/unit/a.test.ts'],
    );
    assert.is(take(), undefined);
    if (other) jobs.done(other);
    assert.is(take()?.file, smoke('sealed'));
    assert.is(take(), undefined);
    assert.is(jobs.isEmpty, false);
    if (first) jobs.done(first);
    assert.is(take()?.file, smoke('control'));
    assert.is(jobs.isEmpty, true);
  },
);

schedule(
  'at most three busy files run at a time; files that wait for most of their duration take the rest',
  () => {
    const waiting = ['test/system/hanging.test.ts', 'test/system/foreign-programs.test.ts'];
    const busy = ['a', 'b', 'c', 'd'].map((name) => `test/unit/${name}.test.ts`);
    const jobs = new Schedule(root, [...waiting, ...busy]);
    const first = jobs.take();
    const others = [jobs.take(), jobs.take(), jobs.take()];
    assert.equal(
      [first, ...others.slice(0, 2)].map((job) => job?.file),
      busy.slice(0, 3),
    );
    // Their order depends on the recorded durations.
    assert.equal([others[2], jobs.take()].map((job) => job?.file).toSorted(), waiting.toSorted());
    assert.is(jobs.take(), undefined);
    if (first) jobs.done(first);
    assert.is(jobs.take()?.file, busy[3]);
  },
);

schedule('while the processors are idle, one more busy file runs, which may be a guest', () => {
  const files = ['a', 'b', 'c', 'd'].map((name) => `test/vm/matrix/${name}.test.ts`);
  const jobs = new Schedule('/nowhere', files);
  const usual = [jobs.take(), jobs.take(), jobs.take(), jobs.take()];
  assert.equal(
    usual.map((job) => job?.file),
    [...files.slice(0, 3), undefined],
  );
  assert.is(jobs.take(1)?.file, files[3]);
});

schedule('the idle share of the time between two measurements', () => {
  const cpu = (user: number, idle: number) => ({
    ...{ model: '', speed: 0 },
    times: { user, nice: 0, sys: 0, idle, irq: 0 },
  });
  assert.is(idleShare([cpu(10, 10), cpu(0, 0)], [cpu(20, 40), cpu(60, 0)]), 0.3);
  assert.is(idleShare([cpu(10, 10)], [cpu(10, 10)]), 0);
});

schedule('a disk that may become full is reported before the guests run', () => {
  const free = (gigabytes: number) => ({ bavail: gigabytes * 1e6, bsize: 1000 });
  const guests = ['test/unit/a.test.ts', 'test/vm/smoke/b.test.ts'];
  assert.is(
    spaceWarning(guests, free(11)),
    'warning: the disks of the guests may need 20 GB, and 11 GB are free\n',
  );
  assert.is(spaceWarning(guests, free(20)), '');
  assert.is(spaceWarning(['test/unit/a.test.ts'], free(1)), '');
});

schedule('the files whose log servers have the same port do not run at once', () => {
  const files = ['guide', 'guide-fleet', 'update'].map((name) => `test/vm/long/${name}.test.ts`);
  const jobs = new Schedule('/nowhere', files);
  const [first, second] = [jobs.take(), jobs.take()];
  assert.equal([first?.file, second?.file], [files[0], files[2]]);
  assert.is(jobs.take(), undefined);
  if (first) jobs.done(first);
  assert.is(jobs.take()?.file, files[1]);
});

schedule('no guest starts before the shared trees are built', () => {
  const jobs = new Schedule(root, ['test/unit/a.test.ts', smoke('sealed')]);
  const [warm, unit] = [jobs.take(), jobs.take()];
  assert.equal([warm?.file, unit?.file], [warmFile, 'test/unit/a.test.ts']);
  assert.is(jobs.take(), undefined);
  if (warm) jobs.done(warm);
  assert.is(jobs.take()?.file, smoke('sealed'));
});

schedule('every selected file runs exactly once', () => {
  const files = [...select('all'), ...select('long')];
  const jobs = new Schedule(root, files);
  const taken: string[] = [];
  while (!jobs.isEmpty) {
    const job = jobs.take();
    assert.ok(job, 'a file waits although no other file runs');
    taken.push(job.file);
    jobs.done(job);
  }
  assert.equal(taken.filter((file) => file !== warmFile).sort(), [...files].sort());
});

schedule('without guest tests, the shared trees are not built', () => {
  const jobs = new Schedule(root, ['test/unit/a.test.ts']);
  assert.is(jobs.take()?.file, 'test/unit/a.test.ts');
  assert.is(jobs.isEmpty, true);
});

schedule(
  'measured durations replace earlier ones; short files without guests and those that do not exist are left out',
  () =>
    inTemporaryDirectory((project) => {
      const [a, b, c] = ['a', 'b', 'c'].map(smoke) as [string, string, string];
      const short = 'test/unit/short.test.ts';
      const durations = JSON.stringify({ [a]: 100, [b]: 50, [short]: 40, [smoke('removed')]: 70 });
      writeFiles(project, { [a]: '', [b]: '', [c]: '', [short]: '', [durationsFile]: durations });
      const measured = new Map([
        [a, 28.7],
        [c, 60.4],
        [short, 29.7],
        ['no file matches', 0],
      ]);
      recordDurations(project, measured);
      const text = fs.readFileSync(path.join(project, durationsFile), 'utf8');
      assert.is(text, `{\n  "${a}": 29,\n  "${b}": 50,\n  "${c}": 60\n}\n`);
      const jobs = new Schedule(project, [b, c]);
      assert.equal([jobs.take()?.file, jobs.take()?.file], [c, b]);
    }),
);

schedule('time limits: guests 20, 30 or 50 minutes, a release 15, other files 10', () => {
  const limit = (file: string) => {
    const jobs = new Schedule('/nowhere', [file]);
    return jobs.take()?.limitSeconds;
  };
  assert.is(limit('test/vm/smoke/a.test.ts'), 1200);
  assert.is(limit('test/vm/matrix/a.test.ts'), 1800);
  assert.is(limit('test/vm/long/a.test.ts'), 3000);
  assert.is(limit('test/packaging/release/release.test.ts'), 900);
  assert.is(limit('test/unit/a.test.ts'), 600);
});
schedule.run();
