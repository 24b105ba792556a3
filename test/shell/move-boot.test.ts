/** Tests units/move-boot, which begins and ends a boot that moves data. */
import path from 'node:path';
import * as assert from 'uvu/assert';
import { runInSandbox } from './sandbox.ts';
import { inShells } from './shells.ts';

const script = path.join(import.meta.dirname, '../../units/move-boot');
const marker = 'etc/immutafs/move-at-boot';

inShells('move-boot', (test, shell) => {
  /** Returns what is printed. `journalctl` and `systemctl` print their arguments. */
  const run = (count: string | undefined, lines: string) => {
    const { stdout, stderr } = runInSandbox({
      shell,
      scripts: [script],
      files: count === undefined ? {} : { [marker]: count },
      run: `for each in journalctl systemctl; do printf '#!/bin/sh\\necho "%s $*"\\n' "$each" >/usr/bin/$each; chmod +x /usr/bin/$each; done
        ${lines}`,
    });
    return `${stdout}${stderr}`;
  };
  const program = '/usr/libexec/immutafs/move-boot';

  for (const [before, after] of [
    ['0\n', '1'],
    ['1\n', '2'],
    ['2\n', '3'],
    ['x\n', '1'],
  ] as const)
    test(`begin: ${JSON.stringify(before)} becomes ${after}, and the end reboots`, () => {
      const said = run(before, `${program} begin && cat /${marker}; ${program} end`);
      assert.is(said, `${after}\njournalctl --flush\nimmutafs: rebooting\nsystemctl --no-block reboot\n`);
    });
  test('after three boots that have not completed it, the next one gives up', () => {
    const said = run('3\n', `${program} begin || echo failed; ls /etc/immutafs; ${program} end`);
    assert.match(said, /failed\n[^]*systemctl --no-block reboot[^]*three boots have not completed it/);
    assert.not.match(said, 'move-at-boot');
  });
  test('a boot that cannot be counted does not reboot, but starts the ordinary units', () => {
    const said = run(
      '0\n',
      `mount --bind -o ro /etc/immutafs /etc/immutafs; mount -o remount,bind,ro /etc/immutafs; ${program} begin 2>/dev/null || echo failed; ${program} end`,
    );
    assert.match(said, /failed\n[^]*systemctl --no-block isolate multi-user\.target/);
    assert.not.match(said, 'reboot\n');
  });
  test('a file system that cannot be mounted: an ordinary boot', () => {
    const said = run('0\n', `${program} emergency; ls /etc/immutafs`);
    assert.is(said.replace(/immutafs: .*\n/, ''), 'systemctl --force reboot\n');
  });
});
