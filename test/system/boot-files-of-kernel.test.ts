/** Tests that immutafs-boot creates no file where only the kernel does, for which SELinux would need a rule. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildTestBootProgram, testBootProgram } from '../harness/boot-program.ts';
import { inTemporaryDirectory, writeFiles } from '../harness/temporary.ts';

await buildTestBootProgram();

/** Returns the attribute `exec` of a process with SELinux after a command; undefined if there is no such file. */
function execAttribute(files: Record<string, string>): string | undefined {
  return inTemporaryDirectory((root) => {
    writeFiles(root, { 'proc/self/attr/current': 'a:b:c:s0', 'sys/fs/selinux/enforce': '1', ...files });
    fs.copyFileSync(testBootProgram, path.join(root, 'immutafs-boot'));
    const { error } = spawnSync('/usr/sbin/chroot', [root, '/immutafs-boot', 'persist', '-', '-']);
    assert.is(error, undefined);
    const file = path.join(root, 'proc/self/attr/exec');
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined;
  });
}

const test = suite('immutafs-boot and the files of the kernel');
test('a file of the kernel is written, and not created', () => {
  assert.is(execAttribute({ 'proc/self/attr/exec': '' }), 'a:b:c:s0');
  assert.is(execAttribute({}), undefined);
});
test.run();
