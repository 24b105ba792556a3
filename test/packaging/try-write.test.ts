/** Tests that the program try-write gives the same result as the agent's own probe. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { getSystemErrorName } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dist } from '../../packaging/build/paths.ts';
import { buildProgram } from '../../packaging/build/small-programs.ts';

const program = path.join(dist, 'try-write');
const probe = path.join(import.meta.dirname, '../../agent/system/probe/write.ts');

/**
 * Returns the results of try-write and the agent's probe for directories in a mount namespace, as names of errno, and
 * the files that remain in the directories.
 */
function results(
  commands: string,
  folders: readonly string[],
): { small: string[]; own: string[]; left: string } {
  const own = `import { tryWrite } from '${probe}'; for (const each of process.argv.slice(1)) console.log(tryWrite(each))`;
  const script = `mount -t tmpfs x /mnt; ${commands}; small=$1 node=$2 own=$3; shift 3
"$small" "$@"; echo =; "$node" --input-type=module -e "$own" "$@"; echo =; find /mnt -xdev -type f`;
  const { stdout } = spawnSync(
    'unshare',
    [
      ...['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh'],
      ...[program, process.execPath, own, ...folders],
    ],
    { encoding: 'utf8' },
  );
  const [small = '', its = '', left = ''] = stdout.split('=\n');
  const name = (number: string) => (number === '0' ? 'OK' : getSystemErrorName(-Number(number)));
  const lines = (text: string) => text.trimEnd().split('\n');
  return { small: lines(small).map(name), own: lines(its), left };
}

const trying = suite('try-write');
trying.before(() => buildProgram('try-write'));
for (const [title, commands, folders, expected] of [
  [
    'a writable and a read-only mount',
    'mkdir /mnt/ro; mount -t tmpfs -o ro x /mnt/ro',
    ['/mnt', '/mnt/ro'],
    ['OK', 'EROFS'],
  ],
  ['a full file system', 'mkdir /mnt/f; mount -t tmpfs -o nr_inodes=1 x /mnt/f', ['/mnt/f'], ['ENOSPC']],
  ['a missing path, and a file', 'ln -s /etc/passwd /mnt/l', ['/mnt/no', '/mnt/l'], ['ENOENT', 'ENOTDIR']],
  [
    'a file system without O_TMPFILE',
    'mkdir /mnt/p /mnt/ro; mount -t proc x /mnt/p; mount -t proc x /mnt/ro; mount -o remount,bind,ro /mnt/ro',
    ['/mnt/p', '/mnt/ro'],
    ['OK', 'EROFS'],
  ],
] as const) {
  trying(title, () => {
    assert.equal(results(commands, folders), { small: [...expected], own: [...expected], left: '' });
  });
}
trying('without directories it prints nothing', () => {
  const { status, stdout } = spawnSync(program, { encoding: 'utf8' });
  assert.equal([status, stdout], [0, '']);
});
trying.run();
