import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HostError } from '../../../agent/lib/errors.ts';
import { systemWriter } from '../../../agent/system/writer.ts';
import { inTemporaryFolder, writeFiles } from '../../harness/temporary.ts';

const writer = suite('SystemWriter');
writer('a text in the place of a file: owner and mode stay, nothing else is left', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { 'etc/a': 'old', 'etc/.a.immutafs': 'left by a power cut' });
    fs.chmodSync(path.join(folder, 'etc/a'), 0o604);
    systemWriter(folder).replaceText('/etc/a', 'n\xe9w');
    assert.is(fs.readFileSync(path.join(folder, 'etc/a'), 'latin1'), 'n\xe9w');
    assert.is(fs.statSync(path.join(folder, 'etc/a')).mode & 0o7777, 0o604);
    assert.equal(fs.readdirSync(path.join(folder, 'etc')), ['a']);
  }),
);
writer('a text where nothing is, with the mode that is given', () =>
  inTemporaryFolder((folder) => {
    systemWriter(folder).replaceText('/a', 'new', 0o600);
    assert.is(fs.statSync(path.join(folder, 'a')).mode & 0o7777, 0o600);
  }),
);
writer('no text in the place of a link or a folder', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { link: { linkTo: 'target' }, target: 'x', 'folder/a': '' });
    for (const name of ['/link', '/folder']) {
      assert.throws(() => systemWriter(folder).replaceText(name, 'new'), /: not a regular file$/);
    }
    assert.is(fs.readFileSync(path.join(folder, 'target'), 'latin1'), 'x');
  }),
);
writer('a link in the place of a file and of a link', () =>
  inTemporaryFolder((folder) => {
    writeFiles(folder, { a: 'x' });
    for (const to of ['one', 'two']) {
      systemWriter(folder).replaceByLink('/a', to);
      assert.is(fs.readlinkSync(path.join(folder, 'a')), to);
    }
  }),
);
writer('a copy of a file or link, in the place of another', () =>
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
writer('errors are the system’s, with their names', () =>
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
