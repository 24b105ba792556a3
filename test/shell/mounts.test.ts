/** Tests that the boot scripts read mountinfo as the agent does. */
import * as assert from 'uvu/assert';
import { parseMountinfo } from '../../agent/facts/mounts/mountinfo.ts';
import { unescapeOctal } from '../../agent/lib/format.ts';
import { mountLines, mountTables, mountinfoFixture } from '../harness/mountinfo.ts';
import { runInSandbox } from './sandbox.ts';
import { type Shell, inShells, withLibrary } from './shells.ts';

/** Returns what the lines print after read_mounts has read the text. */
function withMounts(shell: Shell, text: string, lines: string, before = ''): string {
  const script = `${before}
. /usr/libexec/immutafs/library.sh
read_mounts
${lines}`;
  const files = { 'proc/self/mountinfo': text, script };
  const { code, stdout, stderr } = runInSandbox({ shell, files, run: 'sh /script' });
  assert.is(code, 0, stderr);
  return stdout;
}

const printFields = `set -f
IFS=$newline
for line in $mounts; do
  split_mount "$line"
  printf '%s\\0' "$mount_dev" "$mount_target" "$mount_options" "$mount_type"
done
set +f
IFS=$blank`;

/** Checks that the fields of all lines are those that the agent reads. */
function assertSameFields(shell: Shell, text: string): void {
  const fields = parseMountinfo(text).flatMap((mount) => [
    ...[mount.device, mount.target, mount.options.join(','), mount.type],
  ]);
  const printed = withMounts(shell, text, printFields).split('\0').slice(0, -1);
  assert.equal(printed.map(unescapeOctal), fields);
}

inShells('mounts', (test, shell) => {
  const find = (target: string, before = '', after = '') =>
    withLibrary(
      shell,
      `mounts=$1; ${before}find_mount "$2"; printf "%s|%s|%s" "$mount_dev" "$mount_type" "$mount_options"; ${after}`,
      [
        '/ 1 0 1:1 / ro xfs',
        '/a 2 1 1:2 / rw ext4',
        '/a/b 3 2 1:3 / rw tmpfs',
        '/a 4 2 1:4 / rw,nosuid overlay',
        '/* 5 1 1:5 / rw xfs',
      ]
        .map((line) => `\n${line} s rw`)
        .join('') + '\n',
      target,
    );
  test('the topmost of two mounts; a mount point that is the beginning of another; no mount', () => {
    assert.is(find('/a'), '1:4|overlay|rw,nosuid');
    assert.is(find('/'), '1:1|xfs|ro');
    assert.is(find('/*'), '1:5|xfs|rw');
    for (const target of ['/b', '/a/', 'a', '']) assert.is(find(target), '||', target);
  });
  test('IFS and noglob stay as they are', () => {
    const state = 'printf "|%s|" "$IFS"; case $- in *f*) echo noglob ;; esac';
    assert.is(find('/a', 'IFS=:; set -f; ', state), '1:4|overlay|rw,nosuid|:|noglob\n');
    assert.is(find('/a', 'IFS=:; ', state), '1:4|overlay|rw,nosuid|:|');
  });
  test('the time is linear: it was minutes for this table', () => {
    const lines = `i=0; mounts='\n'
      while [ $i -lt 2000 ]; do mounts="\${mounts}/mnt/of/a/rather/long/path/$i $i 0 1:$i / rw xfs s rw\n"; i=$((i + 1)); done
      for i in 1 2 3; do find_mount /mnt/of/a/rather/long/path/1000; done; printf %s "$mount_dev"`;
    const started = performance.now();
    assert.is(withLibrary(shell, lines), '1:1000');
    const seconds = (performance.now() - started) / 1000;
    assert.ok(seconds < 15, `${seconds} s`);
  });

  test('the fields of unusual lines', () => {
    assertSameFields(shell, mountLines.map(([, text]) => text).join(''));
  });

  test('the fields without cat(1)', () => {
    const text = mountinfoFixture('rhel-8');
    const fields = withMounts(shell, text, printFields);
    assert.is(withMounts(shell, text, printFields, 'cat() { return 1; }'), fields);
    assert.is.not(fields, '');
  });

  for (const [file] of mountTables) {
    test(`the fields of ${file}`, () => assertSameFields(shell, mountinfoFixture(file)));
  }
});
