import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Found, selection } from '../../../agent/changes/change.ts';
import { walkHomes } from '../../../agent/changes/homes.ts';
import { SystemError } from '../../../agent/lib/errors.ts';
import { type SystemReader, systemReader } from '../../../agent/system/reader.ts';
import { whileTemporaryDirectory } from '../../harness/temporary.ts';

const homes = suite('walkHomes');

/** Walks a home directory with a changed file. @param report receives what was found */
const walk = (report: (found: Found) => void) =>
  whileTemporaryDirectory(async (home) => {
    fs.writeFileSync(path.join(home, '.bashrc'), 'run\n');
    const own = systemReader();
    const passwd = (file: string, text: () => string) =>
      file === '/etc/passwd' ? `u:x:1000:1000::${home}:/bin/bash\n` : text();
    const reader: SystemReader = {
      ...own,
      read: (file, limit) => passwd(file, () => own.read(file, limit)),
      readIfPresent: (file, limit) => passwd(file, () => own.readIfPresent(file, limit) ?? ''),
    };
    const [never, always] = [() => false, () => true];
    const opened = fs.readdirSync('/proc/self/fd').length;
    await walkHomes(reader, 0, always, never, selection([]), report).finally(() => {
      assert.is(fs.readdirSync('/proc/self/fd').length, opened, 'a descriptor leaks');
    });
  });

homes('a changed file is reported', async () => {
  const found: Found[] = [];
  await walk((each) => void found.push(each));
  assert.equal(
    found.map((each) => [path.basename(each.path), 'change' in each && each.change]),
    [['.bashrc', 'modified']],
  );
});

for (const code of ['ENOSPC', 'ENOENT']) {
  homes(`an error of the receiver ends the walk: ${code}`, async () => {
    let calls = 0;
    const fails = () => {
      calls += 1;
      throw new SystemError('the export cannot be written', code);
    };
    const message = await walk(fails).then(
      () => '',
      (error: unknown) => (error as Error).message,
    );
    assert.equal([message, calls], ['the export cannot be written', 1]);
  });
}

homes.run();
