import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKernelArgument, splitKernelArguments } from '../../agent/facts/boot/kernel-arguments.ts';
import { diskScenarios, stackScenarios } from '../harness/disk-scenarios.ts';
import { makeSysfs } from '../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../harness/temporary.ts';
import { kernelArguments, splitArguments } from '../harness/kernel-arguments.ts';
import { fstabSources } from '../harness/fstab-lines.ts';
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

  const sourceNode = 'source_node "$1"; printf %s "$node"';
  for (const [source, node] of fstabSources) {
    test(source, () => {
      const output = withLibrary(shell, sourceNode, Buffer.from(source, 'latin1').toString('utf8'));
      assert.is(Buffer.from(output, 'latin1').toString('utf8'), node);
    });
  }
  test('ordinary sources need no process', () => {
    // These functions run only if a subshell is needed.
    const lines = `encode() { exit 9; }; printf() { exit 9; }; source_node "$1"; command printf "%s\\n" "$node"`;
    assert.is(withLibrary(shell, lines, 'LABEL="a-b.c"'), '/dev/disk/by-label/a-b.c\n');
    assert.is(withLibrary(shell, lines, '/dev/my\\040\\011\\134disk'), '/dev/my \t\\disk\n');
  });

  for (const [scenario, { devices, device, disks: expected }] of Object.entries(diskScenarios)) {
    test(scenario, () => {
      const lines = `check_table() { :; }
        disks=""; find_disks "$1"; printf "%s" "$disks"; ! all_sealed || printf "~sealed "`;
      const output = inTemporaryDirectory((root) => {
        makeSysfs(root, devices);
        return withLibrary(shell, lines, `${root}/sys/dev/block/${device}`);
      });
      const wanted = expected.map(({ name: disk, readOnly, hostReadOnly }) => {
        const byHost = disk.startsWith('vd') ? 'virtio-feature' : 'scsi-flag';
        const evidence = hostReadOnly === true ? byHost : readOnly ? 'flag' : 'none';
        return `${disk}:${readOnly ? 1 : 0}:${evidence} `;
      });
      const sealed = expected.every(({ hostReadOnly }) => hostReadOnly === true) ? '~sealed ' : '';
      assert.is(
        output
          .split(/(?<= )/)
          .sort()
          .join(''),
        [...wanted, sealed].join(''),
      );
    });
  }
  for (const [scenario, { devices, sealed }] of Object.entries(stackScenarios)) {
    test(scenario, () => {
      const lines = `root=$1; check_table() { "$root/usr/libexec/immutafs/check-tables" "$1" >/dev/null; }
        disks=""; find_disks "$1/sys/dev/block/253:0"; all_sealed; echo $?; all_read_only; echo $?`;
      const output = inTemporaryDirectory((root) => {
        makeSysfs(root, devices);
        return withLibrary(shell, lines, root);
      });
      // A device with other content is set read-only, too, or its file system could not be mounted.
      assert.is(output, sealed ? '0\n0\n' : '1\n0\n');
    });
  }
  test('a device that does not exist counts as writable', () => {
    const lines = 'disks=""; find_disks /nowhere/sys/dev/block/1:2; printf %s "$disks"';
    assert.is(withLibrary(shell, lines), ':0:none ');
  });
});

const same = suite('the agent parses the kernel argument in the same way');
for (const [cmdline, expected] of Object.entries(kernelArguments)) {
  same(cmdline, () => assert.equal(parseKernelArgument(cmdline), expected));
}
for (const [cmdline, words] of Object.entries(splitArguments)) {
  same(`the arguments of ${cmdline}`, () => assert.equal(splitKernelArguments(cmdline), words));
}
same.run();
