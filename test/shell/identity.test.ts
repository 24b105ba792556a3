/** What assemble-var does with the answer of `immutafs-boot identity`. test/unit/boot/identity.test.ts has the rules. */
import * as assert from 'uvu/assert';
import { bootIn } from './assemble-var.ts';
import { cmdline, links, vdb, vdc } from './sealed-disk.ts';
import { breakImmutafsBoot, inShells } from './shells.ts';

const small = {
  'sysroot/etc/immutafs/immutafs.conf': 'VAR_SIZE=8m\nVAR_INODES=5000\nON_IMPOSTOR=ignore\nMODE=off\n',
};
const files = { ...small, ...cmdline('root=UUID=u') };

inShells('the identity of the root', (test, shell) => {
  const boot = bootIn(shell);
  const run = (given: Record<string, string>, before: string, disk: 'sealed' | 'writable' = 'writable') =>
    boot({
      ...{ disk, files: { ...files, ...given }, devices: [vdb, vdc] },
      before: `${links('by-uuid/u')}\n${before}`,
      after: 'cat /out/kmsg',
    });
  for (const [title, conf, expected] of [
    ['power-off', {}, 6],
    ['a shell', { 'etc/immutafs/immutafs.conf': 'ON_IMPOSTOR=emergency\n' }, 5],
  ] as const) {
    test(`an impostor: the boot ends in ${title}`, () => {
      const { code, made, bootEnv, after } = run(conf, '');
      assert.is(code, expected);
      assert.match(
        after,
        /^<2>immutafs: \/ is mounted from \/dev\/dm-0, which poses as \/dev\/loop7 \(UUID=u\)/,
      );
      // The command has made no mount and has used no configuration of the impostor.
      assert.equal([made, bootEnv], [[], []]);
    });
  }
  for (const [title, before] of [
    ['fails', breakImmutafsBoot],
    ['is missing', 'rm /usr/libexec/immutafs/immutafs-boot'],
    ['is ended by a signal', breakImmutafsBoot.replace('exit 3', 'kill -9 $$')],
    ['has an unplanned exit code', breakImmutafsBoot.replace('exit 3', 'exit 1')],
  ] as const) {
    test(`immutafs-boot ${title}: the boot ends`, () => {
      const { code, made, bootEnv, after } = run({}, before);
      assert.equal([code, made, bootEnv], [6, [], []]);
      assert.match(after, /^<2>immutafs: whether the system is mounted from an impostor .* is unknown/);
      assert.is(run(cmdline('root=UUID=u immutafs=off'), before).code, 0);
    });
  }
  test('the sealed root: the boot continues, and its warnings are in boot.env', () => {
    const busy = { 'run/udev/queue': '', 'usr/bin/udevadm': '#!/bin/bash\nexit 1\n' };
    const { code, bootEnv } = run(busy, '', 'sealed');
    assert.is(code, 0);
    const warning = 'WARNING=udev is still busy after 180 s; disks may be missing';
    assert.ok(bootEnv.includes(warning), bootEnv.join('\n'));
    assert.not.match(run({}, '', 'sealed').bootEnv.join('\n'), 'udev');
  });
  test('impostors that were not used are in boot.env', () => {
    const line = 'IMPOSTOR=/dev/vdb2 /dev/vda2 UUID=x';
    assert.ok(run({ 'run/immutafs/impostors': `${line}\n` }, '', 'sealed').bootEnv.includes(line));
  });
});
