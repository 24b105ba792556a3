/** Verifies that the list of inputs is complete: each path in the sources is in it, or is known not to be one. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { coversInput, isInput } from '../../../agent/facts/inputs.ts';

const repository = path.join(import.meta.dirname, '../../..');

/** Sources with paths that are compared with other paths, and not read: the configuration keys, and places of programs. */
const notRead = /config\/keys\.ts$|facts\/security\/places(\/|\.ts$)/;

/** Returns the paths at the beginning of strings in files, in which they are followed by no other text. */
function pathsIn(pattern: string, directories: string): Set<string> {
  const literal = new RegExp(`['"\`](/(?:${directories})/[A-Za-z0-9_./-]*[A-Za-z0-9])`, 'g');
  const files = globSync(pattern, { cwd: repository }).filter((name) => !notRead.test(name));
  const texts = files.map((name) => readFileSync(path.join(repository, name), 'utf8'));
  return new Set(texts.flatMap((text) => [...text.matchAll(literal)].map(([, found = '']) => found)));
}

/** Paths in the sources that are not inputs, by the reason. */
const others = [
  // systemd mounts a transient ID over a file that is missing (machine-id(5)); it only identifies the guest in a message.
  '/etc/machine-id',
  // The boot mounts a file over it (dracut/lvm.sh).
  '/etc/lvm/lvmlocal.conf',
  // Directories of the agent's own mounts, which other checks verify.
  ...['/run/immutafs', '/run/immutafs/below', '/run/immutafs/lower', '/run/immutafs/root'],
  ...['/run/var', '/run/var/below', '/run/var/upper', '/run/var/work'],
  // Patterns and places that are compared with other paths.
  ...['/run/user', '/run/systemd', '/run/systemd/generator', '/run/systemd/transient'],
];

const complete = suite('inputs');
complete('programs, also those of prepare', () => {
  const programs = pathsIn('agent/**/*.ts', '(?:usr/)?(?:s?bin|lib|lib64|libexec)');
  assert.ok(programs.has('/usr/libexec/immutafs/read-mappings') && programs.has('/usr/bin/journalctl'));
  assert.equal(
    [...programs].filter((name) => !isInput(name)),
    [],
  );
});
complete('files in /etc and /run that status, check, changes and forward read', () => {
  const files = [...pathsIn('agent/!(prepare)/**/*.ts', 'etc|run')];
  assert.ok(files.includes('/etc/passwd') && files.includes('/run/immutafs/boot.env'));
  assert.equal(
    files.filter((name) => !isInput(name) && !others.includes(name)),
    [],
  );
});
for (const [target, expected] of [
  ['/', false],
  ['/run', false],
  ['/run/user/1000', false],
  ['/run/immutafs', true],
  ['/etc/audit/auditd.conf', true],
  ['/etc/auditx', false],
] as const) {
  complete(`a mount at ${target}`, () => assert.is(coversInput(target), expected));
}
complete.run();
