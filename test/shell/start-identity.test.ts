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

/** Lines before the first request of a boot, and what the script does then. */
const first: [title: string, lines: string, said: string][] = [
  [
    'the directory is made',
    ':',
    'install -d -Z -m 2755 -g immutafs-forward /run/immutafs/identity\nidentity\n0',
  ],
  ['without the group, the agent makes it', 'touch /run/no-group', 'identity\n0'],
  ['the directory remains', 'mkdir -m 2755 /run/immutafs/identity', 'identity\n0'],
  [
    'root has run the agent before: the forwarder gets the key, also if the next request is later',
    'mkdir /run/immutafs/identity; : >/run/immutafs/identity/key.pem; echo 999999999 >$next; rm -f /run/no-group',
    'install -d -Z -m 2755 -g immutafs-forward /run/immutafs/identity\nchgrp immutafs-forward /run/immutafs/identity/key.pem\n0',
  ],
];

inShells('start-identity', (test, shell) => {
  /** Runs the script after each of some lines. @returns what it and its programs print, and its exit code */
  const run = (each: readonly string[]) => {
    const { code, stdout, stderr } = runInSandbox({
      ...{ shell, scripts: [script] },
      files: {
        'usr/bin/immutafs-agent': '#!/bin/sh\necho "$@"\n',
        'usr/bin/chgrp': '#!/bin/sh\necho chgrp "$@"\n',
        'usr/bin/install': '#!/bin/sh\n[ ! -e /run/no-group ] || exit 1\necho install "$@"\n',
      },
      run: `directory=/run/immutafs/identity; next=$directory/next; mkdir -p /run/immutafs
        ${each.map((lines) => `${lines}; sh /usr/libexec/immutafs/start-identity; echo "$? ="`).join('\n')}`,
    });
    assert.is(code, 0, stderr);
    return stdout.split(' =\n').slice(0, -1);
  };
  test('the agent starts when the certificate is to be renewed', () => {
    const said = run(
      cases.map(([, lines]) => `rm -rf $next; mkdir -p $directory; chmod g+s $directory; ${lines}`),
    );
    for (const [index, [title, , starts]] of cases.entries())
      assert.is(said[index], starts ? 'identity\n0' : '0', title);
  });
  test('the directory, whose files get the group of the forwarder', () => {
    const said = run(first.map(([, lines]) => `rm -rf $directory; ${lines}`));
    for (const [index, [title, , expected]] of first.entries()) assert.is(said[index], expected, title);
  });
});
