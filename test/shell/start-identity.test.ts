import path from 'node:path';
import * as assert from 'uvu/assert';
import { runInSandbox } from './sandbox.ts';
import { inShells } from './shells.ts';

const script = path.join(import.meta.dirname, '../../units/start-identity');

/** The lines of sh before the script runs, and whether it then starts the agent. */
const cases: [title: string, lines: string, starts: boolean][] = [
  ['no earlier request', ':', true],
  ['a renewal that is due', 'echo 1 >$next', true],
  ['a renewal later', 'echo 999999999 >$next', false],
  ['no last line feed', 'printf 999999999 >$next', false],
  ['an empty file', ': >$next', true],
  ['a file that is damaged', 'echo x1 >$next', true],
  ['a directory', 'mkdir $next', true],
];

inShells('start-identity', (test, shell) => {
  test('the agent starts when the certificate is to be renewed', () => {
    const { code, stdout, stderr } = runInSandbox({
      ...{ shell, scripts: [script], files: { 'usr/bin/immutafs-agent': '#!/bin/sh\necho "$@"\n' } },
      run: `next=/run/immutafs/identity/next; mkdir -p /run/immutafs/identity
        ${cases.map(([, lines]) => `rm -rf $next; ${lines}; sh /usr/libexec/immutafs/start-identity; echo "$? ="`).join('\n')}`,
    });
    assert.is(code, 0, stderr);
    const said = stdout.split(' =\n').slice(0, -1);
    for (const [index, [title, , starts]] of cases.entries())
      assert.is(said[index], starts ? 'identity\n0' : '0', `${title}: ${stderr}`);
  });
});
