import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { inTemporaryDirectory, writeFiles } from '../harness/temporary.ts';
import { inShells, withLibrary } from './shells.ts';

inShells('the answers of immutafs-boot', (test, shell) => {
  /** Runs lines of sh that call find_disks, with a program in place of immutafs-boot. */
  const withProgram = (program: string, lines: string) =>
    inTemporaryDirectory((folder) => {
      writeFiles(folder, { 'immutafs-boot': `#!/bin/sh\n${program}\n` });
      fs.chmodSync(path.join(folder, 'immutafs-boot'), 0o755);
      return withLibrary(shell, `parts=${folder}\n${lines}`);
    });
  const shown = `find_disks /sys/x || printf "failed "; printf "%s|%s" "$disks" "$disks_state"
    if all_sealed; then printf " sealed"; fi`;
  for (const [title, program, expected] of [
    [
      'sealed',
      'printf "dm-0\\ndm-0 vda\\nvda:1:virtio-feature\\nsealed\\n"',
      'vda:1:virtio-feature |sealed sealed',
    ],
    ['read-only', 'printf "dm-0\\ndm-0 vda\\nvda:1:flag\\nread-only\\n"', 'vda:1:flag |read-only'],
    [
      'writable',
      'printf "vda\\nvda\\nvda:0:none vdb:1:flag\\nwritable\\n"',
      'vda:0:none vdb:1:flag |writable',
    ],
    ['an error', 'echo error >/dev/null; exit 3', 'failed |writable'],
    ['a crash', 'printf "vda\\nvda\\nvda:1:virtio-feature\\nsealed\\n"; exit 142', 'failed |writable'],
  ] as const) {
    test(`immutafs-boot answers: ${title}`, () => {
      assert.is(withProgram(program, shown), expected);
    });
  }

  const failing = 'echo "conf_FORWARD=x"; exit 3';
  test('without an answer about the configuration', () =>
    assert.is(
      withProgram(
        failing,
        'read_config x 2>/dev/null; printf "%s|%s|%s" "$conf_SEED_TIMEOUT" "$conf_FORWARD" "$config_error"',
      ),
      '180||the configuration is unknown (exit code 3 of immutafs-boot)',
    ));
});
