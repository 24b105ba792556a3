import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../packaging/build/build.ts';
import { buildLicences, bundledPackages } from '../../packaging/build/licences.ts';
import { dist, inRoot, scratch } from '../../packaging/build/paths.ts';

const licences = path.join(dist, 'licences');

test.before(build);

test('finds the packages of a bundle by its files', () => {
  const inputs = [
    'agent/main.ts',
    'node_modules/execa/index.js',
    'node_modules/execa/lib/x.js',
    'node_modules/@sindresorhus/merge-streams/index.js',
    'node_modules/execa/node_modules/is-stream/index.js',
    'addon:/usr/lib64/immutafs-agent/journal_send.node',
  ];
  assert.equal(bundledPackages(inputs), [
    'node_modules/@sindresorhus/merge-streams',
    'node_modules/execa',
    'node_modules/execa/node_modules/is-stream',
  ]);
});

test('contains a list, and a licence for each entry', () => {
  const present = readdirSync(licences);
  const lines = readFileSync(path.join(licences, 'README'), 'utf8').split('\n').slice(3);
  const named = lines.filter((line) => line !== '').map((line) => line.split(/ +/));
  assert.ok(named.some(([kind, name]) => kind === 'npm' && name === 'commander'));
  for (const [kind, name, version, , source] of named) {
    const file = {
      npm: `npm-${name?.replace('/', '-')}-${version}`,
      nodejs: 'node',
      debian: `debian-${source}`,
    };
    assert.ok(present.includes(file[kind as keyof typeof file]), `${kind} ${name}`);
  }
});

test('contains the common licences to which copyright files of Debian refer', () => {
  for (const name of ['common-GPL-3', 'common-LGPL-2.1'])
    assert.ok(readdirSync(licences).includes(name), name);
});

test('fails for a package without a licence', async () => {
  const folder = path.join(scratch, 'node_modules/nameless');
  mkdirSync(folder, { recursive: true });
  try {
    writeFileSync(path.join(folder, 'package.json'), '{"name": "nameless", "version": "1.0.0"}');
    await buildLicences([path.relative(inRoot(''), path.join(folder, 'index.js'))]);
    assert.unreachable();
  } catch (error) {
    assert.match(String(error), 'nameless 1.0.0 has no licence file');
  } finally {
    rmSync(path.dirname(folder), { recursive: true });
  }
});

test.run();
