import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../agent/lib/errors.ts';
import { readDeviceTables } from '../../../agent/system/device-tables.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

/** The real program runs in the guest of `test/vm/matrix/sealed-runtime.test.ts`, because it needs device-mapper. */
const tables = suite('readDeviceTables');

/** Runs a script instead of check-tables. */
function runScript(lines: string): ReadonlyMap<string, string> {
  return inTemporaryDirectory((directory) => {
    const program = path.join(directory, 'check-tables');
    fs.writeFileSync(program, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
    return readDeviceTables(program);
  });
}

tables('the target with which the content may differ, by device', () => {
  assert.equal(
    [...runScript("printf '253:0\\n253:1 flakey\\n'; exit 1")],
    [
      ['253:0', ''],
      ['253:1', 'flakey'],
    ],
  );
  assert.equal([...runScript('echo 253:0')], [['253:0', '']]);
});
tables('no device', () => assert.is(runScript(':').size, 0));
for (const [title, lines] of [
  ['the program cannot read the tables', 'exit 2'],
  ['the program was killed', 'echo 253:0; kill -9 $$'],
  ['the output is incomplete', 'printf 253:0'],
] as const) {
  tables(`an error: ${title}`, () => {
    assert.throws(
      () => runScript(lines),
      (error: unknown) => error instanceof SystemError,
    );
  });
}
tables('an error: there is no such program', () => {
  assert.throws(() => readDeviceTables('/nonexistent/check-tables'), /ENOENT/);
});
tables.run();
