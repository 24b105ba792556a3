import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inRoot, scratch } from '../../packaging/build/paths.ts';
import { inTemporaryDirectory } from '../harness/temporary.ts';
import { run } from './support.ts';

/**
 * Debian does not have yum, so yum-3.py runs the hooks in yum's order with yum's interface. /usr is really read-only.
 */
const test = suite('the yum plug-in');

const plugin = inRoot('packaging/yum-plugin.py');
const readOnly = 'mount --bind /usr /usr && mount -o remount,bind,ro /usr';

function yum(prepare: string, file: string, ...args: string[]): [number | null, string] {
  const command = `${prepare} && exec /usr/bin/python3 -B "$@"`;
  const program = ['sh', '-c', command, 'sh', inRoot('test/harness/yum-3.py'), file, ...args];
  const { code, stdout, stderr } = run('unshare', ['--mount', '--propagation', 'private', ...program]);
  return [code, stdout + stderr];
}

const pluginError =
  'Error: This guest is sealed, packages cannot be changed. To install for one session: immutafs-agent session --allow-install; to update it: immutafs-agent(8), UPDATES\n';
const resolving = 'Resolving Dependencies\n';

test('on a sealed guest, commands that change packages fail with the error of the plug-in', () => {
  const without = path.join(scratch, 'no-plugin.py');
  writeFileSync(without, 'requires_api_version = "2.3"\nplugin_type = (0, 1)\n');
  assert.equal(yum(readOnly, without, 'update'), [1, 'No write access to /usr directory\n'], 'without it');
  assert.equal(yum(readOnly, plugin, 'update'), [1, pluginError]);
  assert.equal(yum(readOnly, plugin, 'update', 'usr_w_check=1'), [1, pluginError], '--setopt');
  assert.equal(
    yum(readOnly, plugin, 'update', 'usr_w_check=0'),
    [1, pluginError],
    'the option that yum proposes',
  );
  assert.equal(yum(readOnly, plugin, 'list'), [0, 'listed\n']);
  rmSync(without);
});

test('commands that do not write to /usr are not affected', () => {
  assert.equal(yum(readOnly, plugin, 'update', 'assumeno=1'), [0, resolving]);
  assert.equal(yum(readOnly, plugin, 'update', 'downloadonly=1'), [0, resolving]);
  assert.equal(yum(readOnly, plugin, 'update', 'installroot=/root'), [0, resolving]);
  const other = 'installroot=/mnt';
  const both = `${readOnly} && mount -t tmpfs none /mnt && mkdir /mnt/usr`;
  assert.equal(yum(both, plugin, 'update', other), [0, resolving]);
  const image = 'No write access to /mnt/usr directory\n';
  assert.equal(
    yum(`${both} && mount -o remount,ro /mnt`, plugin, 'update', other),
    [1, image],
    'yum’s own check',
  );
});

test('in maintenance, the plug-in does nothing', () => {
  assert.equal(yum(':', plugin, 'update'), [0, resolving]);
});

test('the plug-in is valid for Python 2.7', () => {
  const check = (file: string) => run('/usr/bin/python3', ['-B', inRoot('test/harness/python-2.7.py'), file]);
  assert.equal(check(plugin), { code: 0, stdout: '', stderr: '' });
  inTemporaryDirectory((folder) => {
    for (const [text, problem] of [
      ['f"{1}"', 'syntax: JoinedStr'],
      ['def f(a: int):\n    return a', 'annotation of a'],
      ['def f(*, a):\n    return a', 'signature of f'],
      ['import os\nos.ST_RDONLY', 'os.ST_RDONLY'],
      ['try:\n    pass\nfinally:\n    raise KeyError() from None', 'raise from'],
      ['if (n := 1):\n    pass', 'syntax: NamedExpr'],
      ['print("a", "b")', 'name with another meaning: print'],
    ] as const) {
      const file = path.join(folder, 'plugin.py');
      writeFileSync(file, `${text}\n`);
      const { code, stdout } = check(file);
      assert.is(code, 1, text);
      assert.match(stdout, problem);
    }
  });
});

test.run();
