import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inTemporaryDirectory, writeFiles } from '../temporary.ts';
import {
  type Circumstances,
  chooseScenarios,
  circumstances,
  dueScenarios,
  passesFile,
  readPasses,
  recordPasses,
} from './scenarios.ts';

const long = (name: string) => `test/vm/long/${name}.test.ts`;
const names = [
  'scratch',
  'seed',
  'persist',
  'update',
  'image',
  'pool',
  'quiesce',
  'balloon',
  'efi',
  'rollback',
];
const scenarios = names.map(long);

/** Ten scenarios of so many seconds, each of which contains the words of its name; two import a module of their own. */
function choose(given: Partial<Circumstances>, seconds = 100) {
  return inTemporaryDirectory((root) => {
    const text = (name: string) =>
      ['scratch', 'seed'].includes(name)
        ? "import { disk } from '../harness/disk.ts';"
        : `boots the guest: ${name}`;
    writeFiles(root, {
      ...Object.fromEntries(names.map((name) => [long(name), text(name)])),
      'test/vm/harness/disk.ts': '',
    });
    return chooseScenarios(root, scenarios, {
      commit: '0',
      changed: () => [],
      seconds: () => seconds,
      ...given,
    });
  });
}

const choice = suite('chooseScenarios');

choice('without a change, twelve commits with different endings choose each scenario once', () => {
  const chosen = Array.from('0123456789ab').flatMap((end) => choose({ commit: `abc${end}` }).chosen);
  assert.equal(chosen.toSorted(), scenarios.toSorted());
});

choice(
  'every commit chooses the scenarios that take a minute at most, and then its part of the others',
  () => {
    const seconds = (file: string) => (file === long('scratch') ? 60 : 61);
    const runs = Array.from('0123456789ab').map((commit) => choose({ commit, seconds }).chosen);
    assert.ok(runs.every((run) => run.includes(long('scratch'))));
    assert.equal([...new Set(runs.flat())].toSorted(), scenarios.toSorted());
    assert.is(runs.flat().length, runs.length + scenarios.length - 1);
  },
);

choice('twelve commits choose each of many scenarios once, and none of them has all the longest', () =>
  inTemporaryDirectory((root) => {
    const all = Array.from({ length: 30 }, (_, index) => long(`scenario-${index}`));
    writeFiles(root, Object.fromEntries(all.map((file) => [file, ''])));
    const seconds = (file: string) => 1000 - 10 * all.indexOf(file);
    const runs = Array.from('0123456789ab').map(
      (commit) => chooseScenarios(root, all, { commit, changed: () => [], seconds }).chosen,
    );
    assert.equal(runs.flat().toSorted(), all.toSorted());
    const sums = runs
      .filter(({ length }) => length === 2)
      .map((run) => run.reduce((sum, file) => sum + seconds(file), 0));
    assert.equal(new Set(sums).size, 1);
  }),
);

choice('a change of the product adds the scenarios that have a word of its name, and no others', () => {
  const without = choose({}).chosen;
  const { chosen, leftOut } = choose({
    changed: () => ['boot/scratch/scratch.ts', 'agent/checks/persist.ts'],
  });
  assert.equal(chosen, [...new Set([...without, long('scratch'), long('persist')])].toSorted());
  assert.equal(leftOut, []);
});

choice('words and modules that many scenarios have choose none', () => {
  assert.equal(choose({ changed: () => ['agent/checks/guest.ts', 'units/boots'] }).chosen, choose({}).chosen);
});

choice('a change of a test module adds the scenarios that import it', () => {
  const { chosen } = choose({ changed: () => ['test/vm/harness/disk.ts'] });
  assert.equal(chosen, [...new Set([...choose({}).chosen, long('scratch'), long('seed')])].toSorted());
});

choice('the words of a changed test count for nothing: only its imports lead to scenarios', () => {
  assert.equal(choose({ changed: () => ['test/unit/checks/persist.test.ts'] }).chosen, choose({}).chosen);
});

choice('the nearest come first; what does not fit is left out, and the part of the commit is kept', () => {
  const part = choose({}).chosen;
  const both = ['agent/pool/rollback.ts', 'agent/pool/update.ts', 'agent/rollback.ts'];
  const { chosen, leftOut } = choose({ changed: () => both }, 900);
  const near = ['pool', 'rollback', 'update'].map(long).filter((file) => !part.includes(file));
  assert.equal(
    part.filter((file) => !chosen.includes(file)),
    [],
  );
  assert.is(chosen.length, 3);
  assert.equal([...chosen, ...leftOut].toSorted(), [...part, ...near].toSorted());
});

choice(
  'of scenarios that never passed, as many are added as fit, after those that the change touches',
  () => {
    const unknown = (file: string) => (file === long('pool') ? ['agent/pool.ts'] : undefined);
    const { chosen, leftOut } = choose({ changed: unknown, commit: '1' }, 700);
    assert.ok(chosen.includes(long('pool')), chosen.join(' '));
    assert.is(chosen.length, 4);
    assert.is(leftOut.length, 6);
  },
);
choice.run();

const record = suite('the record of passes');

/** Calls a function in a git repository with one commit, whose hash it returns for each further commit. */
function inRepository(use: (root: string, commit: () => string) => void): void {
  inTemporaryDirectory((root) => {
    const git = (...args: string[]) =>
      execFileSync('/usr/bin/git', ['-C', root, '-c', 'user.name=A', '-c', 'user.email=a@b', ...args], {
        encoding: 'utf8',
      });
    git('init', '-q');
    writeFiles(root, { [long('scratch')]: '', [long('seed')]: '', [passesFile]: '{}\n' });
    const commit = () => {
      git('add', '--all');
      git('commit', '-q', '--allow-empty', '-m', 'x');
      return git('rev-parse', '--short=12', 'HEAD').trim();
    };
    commit();
    use(root, commit);
  });
}

record('only scenarios are recorded, with the commit; earlier passes stay; removed scenarios go', () =>
  inRepository((root, commit) => {
    const gone = { commit: '1', date: '2020-01-01' };
    writeFiles(root, { [passesFile]: JSON.stringify({ [long('gone')]: gone, [long('seed')]: gone }) });
    const hash = commit();
    recordPasses(root, [long('scratch'), 'test/unit/a.test.ts']);
    const passes = readPasses(root);
    assert.equal(Object.keys(passes), [long('scratch'), long('seed')]);
    assert.is(passes[long('scratch')]?.commit, hash);
    assert.equal(passes[long('seed')], gone);
  }),
);

record('nothing is recorded while the work tree has changes', () =>
  inRepository((root) => {
    fs.writeFileSync(path.join(root, long('seed')), 'changed');
    recordPasses(root, [long('seed')]);
    assert.equal(readPasses(root), {});
  }),
);

record('what changed since a scenario passed is known only for a commit that git has', () =>
  inRepository((root, commit) => {
    recordPasses(root, [long('scratch')]);
    const passes = readPasses(root);
    const unknown = { commit: 'fffffffffff1', date: '2020-01-01' };
    writeFiles(root, { [passesFile]: JSON.stringify({ ...passes, [long('seed')]: unknown }) });
    writeFiles(root, { 'boot/scratch/scratch.ts': '' });
    commit();
    const { changed } = circumstances(root, () => 1);
    assert.equal(changed(long('scratch'))?.toSorted(), ['boot/scratch/scratch.ts', passesFile]);
    assert.is(changed(long('seed')), undefined);
    assert.is(changed(long('update')), undefined);
  }),
);

record('a scenario is due without a record, with an unknown commit, and after a number of commits', () =>
  inRepository((root, commit) => {
    recordPasses(root, [long('scratch')]);
    const passes = readPasses(root);
    writeFiles(root, {
      [passesFile]: JSON.stringify({ ...passes, [long('seed')]: { commit: 'fffffffffff1', date: '' } }),
    });
    const due = () =>
      dueScenarios(root, [long('scratch'), long('seed'), long('update')], 3).map(
        (line) => line.split(': ')[0],
      );
    for (let count = 0; count < 3; count++) commit();
    assert.equal(due(), [long('seed'), long('update')]);
    commit();
    assert.equal(due(), [long('scratch'), long('seed'), long('update')]);
  }),
);

record('without a repository, no scenario is due, and the date chooses the part', () =>
  inTemporaryDirectory((root) => {
    writeFiles(root, { [passesFile]: '{}\n' });
    assert.equal(dueScenarios(root, [long('scratch')]), []);
    assert.match(circumstances(root, () => 1).commit, /^\d{8}$/);
  }),
);
record.run();
