import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../agent/lib/errors.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const writer = suite('SystemWriter');
writer('replaceText keeps owner and mode, and leaves no other file', () =>
  inTemporaryDirectory((directory) => {
    writeFiles(directory, { 'etc/a': 'old', 'etc/.a.immutafs': 'left by a power cut' });
    fs.chmodSync(path.join(directory, 'etc/a'), 0o604);
    systemWriter(directory).replaceText('/etc/a', 'n\xe9w');
    assert.is(fs.readFileSync(path.join(directory, 'etc/a'), 'latin1'), 'n\xe9w');
    assert.is(fs.statSync(path.join(directory, 'etc/a')).mode & 0o7777, 0o604);
    assert.equal(fs.readdirSync(path.join(directory, 'etc')), ['a']);
  }),
);
writer('replaceText makes a file with the given mode', () =>
  inTemporaryDirectory((directory) => {
    systemWriter(directory).replaceText('/a', 'new', 0o600);
    assert.is(fs.statSync(path.join(directory, 'a')).mode & 0o7777, 0o600);
  }),
);
writer('replaceText does not replace a link or a directory', () =>
  inTemporaryDirectory((directory) => {
    writeFiles(directory, { link: { linkTo: 'target' }, target: 'x', 'directory/a': '' });
    for (const name of ['/link', '/directory']) {
      assert.throws(() => systemWriter(directory).replaceText(name, 'new'), /: not a regular file$/);
    }
    assert.is(fs.readFileSync(path.join(directory, 'target'), 'latin1'), 'x');
  }),
);
writer('replaceByLink replaces a file and a link', () =>
  inTemporaryDirectory((directory) => {
    writeFiles(directory, { a: 'x' });
    for (const to of ['one', 'two']) {
      systemWriter(directory).replaceByLink('/a', to);
      assert.is(fs.readlinkSync(path.join(directory, 'a')), to);
    }
  }),
);
writer('copyInto copies a file or link over another', () =>
  inTemporaryDirectory((directory) => {
    writeFiles(directory, { file: 'x', link: { linkTo: 'nowhere' }, there: 'y', 'directory/a': '' });
    fs.chmodSync(path.join(directory, 'file'), 0o600);
    fs.utimesSync(path.join(directory, 'file'), 1e9, 1e9);
    systemWriter(directory).copyInto('/file', '/there');
    const { mode, mtimeMs } = fs.statSync(path.join(directory, 'there'));
    assert.equal([mode & 0o7777, mtimeMs], [0o600, 1e12]);
    systemWriter(directory).copyInto('/link', '/there');
    assert.is(fs.readlinkSync(path.join(directory, 'there')), 'nowhere');
    assert.throws(
      () => systemWriter(directory).copyInto('/directory', '/there'),
      /neither a file nor a link/,
    );
    assert.is(fs.readlinkSync(path.join(directory, 'there')), 'nowhere');
  }),
);
writer('errors have errno’s names', () =>
  inTemporaryDirectory((directory) => {
    for (const act of [
      () => systemWriter(directory).remove('/none'),
      () => systemWriter(directory).replaceText('/none/a', 'x'),
      () => systemWriter(directory).rename('/none', '/other'),
      () => systemWriter(directory).copyInto('/none', '/other'),
    ]) {
      try {
        act();
        assert.unreachable('no error');
      } catch (error) {
        assert.instance(error, SystemError);
        assert.is((error as SystemError).code, 'ENOENT');
      }
    }
  }),
);
writer.run();
