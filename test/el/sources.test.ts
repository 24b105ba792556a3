import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { whileTemporaryDirectory } from '../harness/temporary.ts';
import { MissingSources, commitOf, exportSource } from './sources.ts';
import { requireSources } from './tree.ts';

const sources = suite('sources of RHEL');

const source = { repository: 'systemd-rhel9', branch: 'main' };

/** Calls `work` with a repository of two files in EL_SOURCES. */
async function withRepository(
  work: (folder: string, git: (...args: string[]) => string) => Promise<void>,
): Promise<void> {
  await whileTemporaryDirectory(async (folder) => {
    const repository = path.join(folder, source.repository);
    const git = (...args: string[]) =>
      execFileSync('/usr/bin/git', ['-C', repository, '-c', 'user.name=x', '-c', 'user.email=x', ...args], {
        encoding: 'utf8',
      });
    fs.mkdirSync(path.join(repository, 'src'), { recursive: true });
    git('init', '--quiet', '--initial-branch=main');
    fs.writeFileSync(path.join(repository, 'src/small'), 'small\n', { mode: 0o755 });
    fs.writeFileSync(path.join(repository, 'large'), 'large\n');
    git('add', '.');
    git('commit', '--quiet', '--message=x');
    process.env['EL_SOURCES'] = folder;
    try {
      await work(folder, git);
    } finally {
      delete process.env['EL_SOURCES'];
    }
  });
}

sources('the files of a branch, with their modes', () =>
  withRepository(async (folder, git) => {
    const target = path.join(folder, 'target');
    await exportSource(source, target);
    assert.equal(fs.readdirSync(target).toSorted(), ['large', 'src']);
    assert.is(fs.readFileSync(path.join(target, 'src/small'), 'utf8'), 'small\n');
    assert.is(fs.statSync(path.join(target, 'src/small')).mode & 0o111, 0o111);
    assert.is(await commitOf(source), git('rev-parse', 'HEAD').trim());
  }),
);
sources('the files that are needed', () =>
  withRepository(async (folder) => {
    await exportSource(source, path.join(folder, 'target'), (file) => file.startsWith('src/'));
    assert.equal(fs.readdirSync(path.join(folder, 'target')), ['src']);
  }),
);
sources('a file that the copy of the repository lacks is left out', () =>
  withRepository(async (folder, git) => {
    const object = git('rev-parse', 'main:large').trim();
    fs.rmSync(path.join(folder, source.repository, '.git/objects', object.slice(0, 2), object.slice(2)));
    await exportSource(source, path.join(folder, 'target'));
    assert.equal(fs.readdirSync(path.join(folder, 'target')), ['src']);
  }),
);
sources('what is missing is named, with the command that fetches it', () =>
  withRepository((folder) => {
    let message = '';
    try {
      requireSources(['el9']);
    } catch (error) {
      assert.instance(error, MissingSources);
      ({ message } = error as MissingSources);
    }
    assert.match(
      message,
      `git clone --mirror https://github.com/redhat-plumbers/dracut-rhel9 ${folder}/dracut-rhel9`,
    );
    assert.not.match(message, 'systemd-rhel9');
    assert.throws(() => requireSources(['el10']), 'systemd-rhel10');
    return Promise.resolve();
  }),
);
sources('without EL_SOURCES', () => assert.throws(() => requireSources(['el9']), /^EL_SOURCES is not set\./));

sources.run();
