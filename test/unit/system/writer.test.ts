import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HostError } from '../../../agent/lib/errors.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inTemporaryFolder, writeFiles } from '../../harness/temporary.ts';

const writer = suite('SystemWriter');
writer('replaceText keeps owner and mode, and leaves no other file', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { 'etc/a': 'old', 'etc/.a.immutafs': 'left by a power cut' });
    fs.chmodSync(path.join(folder, 'etc/a'), 0o604);
    systemWriter(folder).replaceText('/etc/a', 'n\xe9w');
    assert.is(fs.readFileSync(path.join(folder, 'etc/a'), 'latin1'), 'n\xe9w');
    assert.is(fs.statSync(path.join(folder, 'etc/a')).mode & 0o7777, 0o604);
    assert.equal(fs.readdirSync(path.join(folder, 'etc')), ['a']);
  }),
);
writer('replaceText makes a file with the given mode', () =>
  inTemporaryFolder((folder) => {
    systemWriter(folder).replaceText('/a', 'new', 0o600);
    assert.is(fs.statSync(path.join(folder, 'a')).mode & 0o7777, 0o600);
  }),
);
writer('replaceText does not replace a link or a folder', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { link: { linkTo: 'target' }, target: 'x', 'folder/a': '' });
    for (const name of ['/link', '/folder']) {
      assert.throws(() => systemWriter(folder).replaceText(name, 'new'), /: not a regular file$/);
    }
    assert.is(fs.readFileSync(path.join(folder, 'target'), 'latin1'), 'x');
  }),
);
writer('replaceByLink replaces a file and a link', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { a: 'x' });
    for (const to of ['one', 'two']) {
      systemWriter(folder).replaceByLink('/a', to);
      assert.is(fs.readlinkSync(path.join(folder, 'a')), to);
    }
  }),
);
writer('copyInto copies a file or link over another', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { file: 'x', link: { linkTo: 'nowhere' }, there: 'y', 'folder/a': '' });
    fs.chmodSync(path.join(folder, 'file'), 0o600);
    fs.utimesSync(path.join(folder, 'file'), 1e9, 1e9);
    systemWriter(folder).copyInto('/file', '/there');
    const { mode, mtimeMs } = fs.statSync(path.join(folder, 'there'));
    assert.equal([mode & 0o7777, mtimeMs], [0o600, 1e12]);
    systemWriter(folder).copyInto('/link', '/there');
    assert.is(fs.readlinkSync(path.join(folder, 'there')), 'nowhere');
    assert.throws(() => systemWriter(folder).copyInto('/folder', '/there'), /neither a file nor a link/);
    assert.is(fs.readlinkSync(path.join(folder, 'there')), 'nowhere');
  }),
);
writer('errors have errno’s names', () =>
  inTemporaryFolder((folder) => {
    for (const act of [
      () => systemWriter(folder).remove('/none'),
      () => systemWriter(folder).replaceText('/none/a', 'x'),
      () => systemWriter(folder).rename('/none', '/other'),
      () => systemWriter(folder).copyInto('/none', '/other'),
    ]) {
      try {
        act();
        assert.unreachable('no error');
      } catch (error) {
        assert.instance(error, HostError);
        assert.is((error as HostError).code, 'ENOENT');
      }
    }
  }),
);
writer.run();
