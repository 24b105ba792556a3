import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { installHint } from '../../../../agent/prepare/engine/install-hint.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const hint = suite('installHint');
for (const [title, programs, expected] of [
  ['RHEL 8 and later', ['dnf', 'yum'], 'run `dnf install attr`'],
  ['RHEL 7', ['yum'], 'run `yum install attr`'],
  ['Debian', ['apt-get'], 'run `apt-get install attr`'],
  ['another system', ['zypper'], 'install the package attr'],
] as const) {
  hint(title, () =>
    inTemporaryDirectory((root) => {
      writeFiles(root, Object.fromEntries(programs.map((each) => [`usr/bin/${each}`, ''])));
      assert.is(installHint(systemReader({ root }), 'attr'), expected);
    }),
  );
}
hint.run();
