/** The script that runs `immutafs-boot generator`, if the program fails. test/unit/boot/generator has what the program writes. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { generatorScripts } from '../harness/generator.ts';
import { runInSandbox } from './sandbox.ts';
import { breakImmutafsBoot, inShells } from './shells.ts';

const program = '/usr/libexec/immutafs/immutafs-boot';
const faults = {
  'it fails': breakImmutafsBoot,
  'it is missing': `rm ${program}`,
  'it is empty': `: >${program}`,
  'it is damaged': `printf '\\177ELF' >${program}`,
  'it crashes': `printf '#!/bin/bash\\nkill -SEGV $$\\n' >${program}`,
};

interface Boot {
  record?: string;
  cmdline?: string;
  before: string;
}

/** Returns the names of the files of early priority, with the targets of links, and the message in the kernel log. */
function run(shell: Parameters<Parameters<typeof inShells>[1]>[1], { record, cmdline = 'ro', before }: Boot) {
  const { code, out } = runInSandbox({
    shell,
    scripts: generatorScripts,
    files: {
      ...(record === undefined ? {} : { 'run/immutafs/boot.env': record }),
      'proc/cmdline': `${cmdline}\n`,
      'etc/fstab': '/dev/vdx /opt xfs ro 0 0\n',
      'usr/lib/systemd/system/cloud-init.service': 'x',
      'usr/lib/systemd/system/afterburn-sshkeys@.service': 'x',
    },
    run: `mkdir /normal /early; : >/kmsg; mount --bind /kmsg /dev/kmsg
      ${before}
      /bin/sh /usr/libexec/immutafs/immutafs-generator /normal /early /normal
      code=$?
      cp /kmsg /out/kmsg; cd /early; find . -name 'cloud-init.service' -printf '%P %l\\n' -o -name 'after*' -printf '%P %l\\n' -o -type l -printf '%P %l\\n' | sort >/out/early; ls /normal | wc -l >/out/normal
      exit $code`,
  });
  const early = (out['early'] ?? '').split('\n').filter((line) => line !== '');
  return { code, early: early.map((line) => line.trim()), kmsg: out['kmsg'], normal: Number(out['normal']) };
}

const masked = ['afterburn-sshkeys@.service', 'cloud-init.service'];
const target = (name: string) => `default.target /usr/lib/systemd/system/${name}.target`;
const sealed = (onFailure: string) => `MODE=sealed\nREASON=x\nDISKS=\nVAR=overlay\nON_FAILURE=${onFailure}\n`;

inShells('the generator, if immutafs-boot fails', (test, shell) => {
  for (const [title, before] of Object.entries(faults)) {
    test(`${title}: a sealed boot with degraded continues, and nothing configures it`, () => {
      const { code, early, kmsg, normal } = run(shell, { record: sealed('degraded'), before });
      assert.equal([code, early, normal], [1, masked, 0]);
      assert.match(kmsg ?? '', /^<2>immutafs: the generator failed \(exit code \d+ of immutafs-boot\)/);
    });
  }
  for (const [title, boot, expected] of [
    ['emergency', { record: sealed('emergency') }, [...masked, target('emergency')]],
    ['poweroff', { record: sealed('poweroff') }, [...masked, target('poweroff')]],
    ['a value that is none', { record: sealed('x') }, [...masked, target('poweroff')]],
    ['no record: the strictest', {}, [...masked, target('poweroff')]],
    ['no record, MODE=off on the kernel command line', { cmdline: 'ro immutafs=off quiet' }, []],
    ['maintenance', { record: 'MODE=maintenance\nON_FAILURE=poweroff\n' }, masked],
    ['off', { record: 'MODE=off\nON_FAILURE=poweroff\n' }, []],
  ] as const) {
    test(title, () => {
      const { code, early } = run(shell, { ...boot, before: breakImmutafsBoot });
      assert.equal([code, early], [1, [...expected].sort()]);
    });
  }
});

const works = suite('the generator, if immutafs-boot does not fail');
works('writes the units of the program, and no target', () => {
  const { code, early, kmsg, normal } = run(['dash'], { record: sealed('poweroff'), before: ':' });
  assert.equal([code, early, kmsg], [0, masked, '']);
  assert.ok(normal > 3);
});
works.run();
