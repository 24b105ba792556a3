import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKernelArgument, splitKernelArguments } from '../../agent/facts/boot/kernel-arguments.ts';
import { inTemporaryDirectory, writeFiles } from '../harness/temporary.ts';
import { kernelArguments, splitArguments } from '../harness/kernel-arguments.ts';
import { inShells, withLibrary } from './shells.ts';

inShells('read_kernel_argument', (test, shell) => {
  for (const [cmdline, { mode, problems }] of Object.entries(kernelArguments)) {
    test(cmdline, () => {
      const output = withLibrary(
        shell,
        'read_kernel_argument "$1"; printf "%s\\n" "$arg_MODE$warnings"',
        cmdline,
      );
      assert.equal(output.trimEnd().split('\n'), [`${mode ?? ''}${problems[0] ?? ''}`, ...problems.slice(1)]);
    });
  }
  test('patterns do not match file names in the current directory', () => {
    const lines = 'cd "$1" && read_kernel_argument "immutafs=*"; printf "%s|%s" "$arg_MODE" "$warnings"';
    const output = inTemporaryDirectory((folder) => {
      writeFiles(folder, { 'immutafs=off': '' });
      return withLibrary(shell, lines, folder);
    });
    assert.is(output, '|kernel argument immutafs=*: must be auto, sealed or off, ignoring it\n');
  });
  for (const [cmdline, words] of Object.entries(splitArguments)) {
    test(`the arguments of ${cmdline}`, () => {
      const lines = 'arguments=$1; while next_argument; do printf "%s\\n" "$argument"; done';
      assert.is(withLibrary(shell, lines, cmdline), words.map((word) => `${word}\n`).join(''));
    });
  }

  /** Runs lines of sh that call find_disks, with a program in place of immutafs-boot. */
  const withProgram = (program: string, lines: string) =>
    inTemporaryDirectory((folder) => {
      writeFiles(folder, { 'immutafs-boot': `#!/bin/sh\n${program}\n` });
      fs.chmodSync(path.join(folder, 'immutafs-boot'), 0o755);
      return withLibrary(shell, `parts=${folder}\n${lines}`);
    });
  const shown = `find_disks /sys/x || printf "failed "; printf "%s|%s" "$disks" "$disks_state"
    if all_read_only; then printf " read-only"; fi; if all_sealed; then printf " sealed"; fi`;
  for (const [title, program, expected] of [
    [
      'sealed',
      'printf "dm-0\\ndm-0 vda\\nvda:1:virtio-feature\\nsealed\\n"',
      'vda:1:virtio-feature |sealed read-only sealed',
    ],
    ['read-only', 'printf "dm-0\\ndm-0 vda\\nvda:1:flag\\nread-only\\n"', 'vda:1:flag |read-only read-only'],
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

  const failing = 'echo "conf_MODE=off"; echo "node=/dev/vda found_node=/dev/vda"; exit 3';
  for (const [title, lines, expected] of [
    [
      'the configuration',
      'read_config x 2>/dev/null; printf "%s|%s|%s" "$conf_MODE" "$conf_ON_FAILURE" "$config_error"',
      'sealed|poweroff|the configuration is unknown (exit code 3 of immutafs-boot)',
    ],
    [
      'fstab',
      'read_fstab /x; read_fstab_line || printf "no line|%s" "$error"',
      'no line|/etc/fstab is unknown (exit code 3 of immutafs-boot)',
    ],
    [
      'a source',
      'find_source x || printf "unknown|%s|%s|%s" "$node" "$disks" "$disks_state"',
      'unknown|||writable',
    ],
  ] as const) {
    test(`without an answer about ${title}`, () => assert.is(withProgram(failing, lines), expected));
  }
});

const same = suite('the agent parses the kernel argument in the same way');
for (const [cmdline, expected] of Object.entries(kernelArguments)) {
  same(cmdline, () => assert.equal(parseKernelArgument(cmdline), expected));
}
for (const [cmdline, words] of Object.entries(splitArguments)) {
  same(`the arguments of ${cmdline}`, () => assert.equal(splitKernelArguments(cmdline), words));
}
same.run();
