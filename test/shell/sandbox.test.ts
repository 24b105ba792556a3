import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runInSandbox } from './sandbox.ts';

const sandbox = suite('the sandbox of the shell tests');

for (const parent of ['/dev', '/usr', '/usr/libexec', '/']) {
  sandbox(`a directory in ${parent} does not appear on this machine`, () => {
    const folder = `${parent}/immutafs-sandbox-${process.pid}`;
    const { code, out } = runInSandbox({
      shell: ['dash'],
      run: `mkdir ${folder} && ls -d ${folder} >/out/made`,
    });
    assert.equal([code, out['made']], [0, `${folder}\n`]);
    assert.not(fs.existsSync(folder));
  });
}

sandbox('the devices of this machine work', () => {
  const { code } = runInSandbox({
    shell: ['dash'],
    run: 'set -e; echo x >/dev/null; head -c 1 /dev/urandom >/out/byte',
  });
  assert.is(code, 0);
});

sandbox.run();
