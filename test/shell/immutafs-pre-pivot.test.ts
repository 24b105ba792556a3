import * as assert from 'uvu/assert';
import { runInSandbox } from './sandbox.ts';
import { shim, useShims, withoutBusybox } from './shells.ts';

withoutBusybox('immutafs-pre-pivot.sh is sourced', (test, shell) => {
  const record = { 'run/immutafs/boot.env': 'MODE=off\n' };
  /** @param does lines of bash in place of immutafs-boot; undefined: there is no such program */
  const source = (does: string | undefined, files: Record<string, string> = record) =>
    runInSandbox({
      shell,
      files: {
        ...files,
        program: does === '' ? '' : shim(`[ "$*" = "initramfs /sysroot" ] || exit 99\n${does ?? ''}`),
        'dev/console': '',
        'shims/systemctl': shim('echo systemctl "$@"'),
        // The hook sleeps before it tries again. This stub ends the hook instead.
        'shims/sleep': shim('echo again; kill "$PPID"'),
        'hook.sh': `emergency_shell() { echo emergency "$@"; exit; }\nNEWROOT=/sysroot\n. /usr/libexec/immutafs/95immutafs/immutafs-pre-pivot.sh\necho after\n`,
      },
      run: `${useShims}
        rm /usr/libexec/immutafs/immutafs-boot
        ${does === undefined ? '' : 'install -m 755 /program /usr/libexec/immutafs/immutafs-boot'}
        sh /hook.sh`,
    }).stdout;
  const exit = (code: number) => `exit ${code}`;
  const off = 'systemctl --force --force poweroff\nagain\n';
  const shellFor = (why: string) => `emergency -n immutafs immutafs: ${why}\n`;
  const impostor =
    'the system is mounted from a copy of the sealed disk, or the boot could not rule this out: see the message above';
  for (const [code, expected] of [
    [0, 'after\n'],
    [1, 'after\n'],
    [10, `${shellFor('/var could not be assembled and ON_FAILURE=emergency')}after\n`],
    [11, off],
    [12, `${shellFor(impostor)}${off}`],
    [13, off],
  ] as const) {
    test(`immutafs-boot exits with ${code}`, () => assert.is(source(exit(code)), expected));
  }
  for (const [title, does] of [
    ['exits with the code of a defect', exit(3)],
    ['is used wrongly', exit(2)],
    ['cannot run', exit(127)],
    ['is ended by a signal', 'kill -SEGV $$'],
    ['is missing', undefined],
    ['is empty', ''],
    ['succeeds without a record', exit(0)],
    ['fails without a record', exit(1)],
  ] as const) {
    test(`immutafs-boot ${title}: power-off in a loop, unless ON_FAILURE or immutafs=off says otherwise`, () => {
      assert.is(source(does, {}), off);
      const onFailure = (text: string) => source(does, { 'run/immutafs/on-failure': text });
      assert.is(onFailure('degraded\n'), 'after\n');
      assert.is(onFailure('poweroff\n'), off);
      assert.is(onFailure('x\n'), off);
      assert.match(
        onFailure('emergency\n'),
        /^emergency -n immutafs immutafs: immutafs-boot failed .*\nafter\n$/,
      );
      assert.is(source(does, { 'proc/cmdline': 'ro immutafs=off quiet\n' }), 'after\n');
      assert.is(source(does, { 'proc/cmdline': 'ro immutafs=offline quiet\n' }), off);
    });
  }
  test('in the kernel of kdump nothing is assembled', () => {
    // With a directory in the fixture, the fixture replaces all of /proc.
    const proc = { 'proc/self/mountinfo': '' };
    assert.is(source(exit(11), { ...proc, 'proc/vmcore': '' }), 'after\n');
    assert.is(source(exit(11), proc), off);
  });
});
