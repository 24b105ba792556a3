import * as assert from 'uvu/assert';
import { runInSandbox } from './sandbox.ts';
import { shim, useShims, withoutBusybox } from './shells.ts';

withoutBusybox('immutafs-pre-pivot.sh is sourced', (test, shell) => {
  const source = (code: number, files: Record<string, string> = {}) =>
    runInSandbox({
      shell,
      files: {
        ...files,
        'assemble-var': shim(`[ "$*" = "initramfs /sysroot" ] && exit ${code}; exit 99`),
        'shims/systemctl': shim('echo systemctl "$@"'),
        // The hook sleeps before it tries again. This stub ends the hook instead.
        'shims/sleep': shim('echo again; kill "$PPID"'),
        'hook.sh': `emergency_shell() { echo emergency "$@"; }\nNEWROOT=/sysroot\n. /usr/libexec/immutafs/95immutafs/immutafs-pre-pivot.sh\necho after\n`,
      },
      run: `${useShims}
        cp /assemble-var /usr/libexec/immutafs/assemble-var
        sh /hook.sh`,
    }).stdout;
  for (const [code, expected] of [
    [0, 'after\n'],
    [1, 'after\n'],
    [3, 'emergency -n immutafs immutafs: /var could not be assembled and ON_FAILURE=emergency\nafter\n'],
    [4, 'systemctl --force --force poweroff\nafter\n'],
    [
      5,
      'emergency -n immutafs immutafs: the system is mounted from an impostor of the sealed disk, or this is unknown\nsystemctl --force --force poweroff\nagain\n',
    ],
    [6, 'systemctl --force --force poweroff\nagain\n'],
  ] as const) {
    test(`assemble-var exits with ${code}`, () => assert.is(source(code), expected));
  }
  test('in the kernel of kdump nothing is assembled', () => {
    // With a directory in the fixture, the fixture replaces all of /proc.
    const proc = { 'proc/self/mountinfo': '' };
    assert.is(source(4, { ...proc, 'proc/vmcore': '' }), 'after\n');
    assert.is(source(4, proc), 'systemctl --force --force poweroff\nafter\n');
  });
});
