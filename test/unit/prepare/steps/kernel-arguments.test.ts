import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { StepId } from '../../../../agent/prepare/engine/step.ts';
import { rhel7GrubConfig } from '../../../harness/grub-config.ts';
import { type Files, guestWith, table } from '../../../harness/step-table.ts';
import { tree, withBox } from '../../../harness/prepare-box.ts';

const files: Files = {
  'boot/grub2/grub.cfg': rhel7GrubConfig,
  'etc/default/grub': 'GRUB_CMDLINE_LINUX="crashkernel=auto resume=/dev/mapper/rhel-swap"\n',
};
table('boot: kernel arguments', 'boot', [
  [
    'a command line from the host',
    { 'proc/cmdline': 'root=/dev/mapper/rhel-root ro resume=/dev/vdb\n' },
    'by hand',
    /resume=\/dev\/vdb and comes from the host/,
  ],
  [
    'a command line from the host, without resume=',
    { 'proc/cmdline': 'root=/dev/mapper/rhel-root ro\n' },
    'done',
  ],
  [
    'an assignment that is not plain',
    {
      'boot/grub2/grub.cfg': 'linux /vmlinuz-1 ro noresume\n',
      'etc/default/grub': 'GRUB_CMDLINE_LINUX="`x`"\n',
    },
    'by hand',
    /\/etc\/default\/grub has no plain assignment of GRUB_CMDLINE_LINUX: add noresume/,
  ],
  [
    'cloud-init',
    { 'usr/bin/cloud-init': '', 'etc/cloud/cloud.cfg': '' },
    'needed',
    /label cidata or config-2/,
    [
      'edit /etc/cloud/cloud-init.disabled: Written by immutafs-agent prepare: a writable disk must not configure this guest.',
    ],
  ],
  ['cloud-init, disabled', { 'usr/bin/cloud-init': '', 'etc/cloud/cloud-init.disabled': '' }, 'done'],
  [
    'cloud-init with SEED=host',
    {
      'usr/bin/cloud-init': '',
      'etc/cloud/cloud.cfg': '',
      'etc/immutafs/immutafs.conf': 'SEED=host\n',
    },
    'done',
  ],
  [
    'cloud-init with SEED=host, disabled by an earlier run',
    {
      'usr/bin/cloud-init': '',
      'etc/cloud/cloud-init.disabled': '',
      'etc/immutafs/immutafs.conf': 'SEED=host\n',
    },
    'needed',
    /which SEED=host needs: it will be removed/,
    ['remove /etc/cloud/cloud-init.disabled'],
  ],
  [
    'Ignition',
    { 'proc/cmdline': 'ro ignition.firstboot\n' },
    'by hand',
    /Ignition configure this guest again/,
  ],
]);

const secureBoot = 'sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c';
const step = suite('boot: kernel arguments, applied');
const only: { only: StepId[]; skip: StepId[] } = { only: ['boot'], skip: [] };
for (const [title, more, expected] of [
  ['BIOS', {}, 'noresume'],
  ['UEFI', { 'sys/firmware/efi/fw_platform_size': '64\n' }, 'noresume noefi'],
  ['UEFI with Secure Boot', { [secureBoot]: '\x07\0\0\0\x01' }, /noresume(?! noefi)/],
] as const) {
  step(`${title}: installed and future kernels, and --undo restores every byte`, () =>
    withBox(
      guestWith({
        ...files,
        ...more,
        'etc/kernel/cmdline': 'root=/dev/mapper/rhel-root ro\n',
        'boot/loader/entries/1.conf': 'title x\noptions $kernelopts\n',
        'boot/grub2/grubenv': { linkTo: '../efi/EFI/redhat/grubenv' },
        'boot/efi/EFI/redhat/grubenv': '# GRUB Environment Block\nkernelopts=ro\n'.padEnd(1024, '#'),
      }),
      async ({ root, prepare, actionLog }) => {
        const edited = [
          'etc/default/grub',
          'etc/kernel/cmdline',
          'boot/grub2/grub.cfg',
          'boot/efi/EFI/redhat/grubenv',
        ];
        // Use whole milliseconds, because a copy does not keep smaller units.
        for (const name of edited) fs.lutimesSync(path.join(root, name), 1e9, 1e9);
        const before = tree(root);
        const { code, stdout } = await prepare({ ...only, apply: true, yes: true });
        assert.is(code, 0, stdout);
        const after = tree(root);
        const changed = Object.keys(after).filter((name) => after[name] !== before[name]);
        assert.equal(changed.sort(), edited.sort());
        for (const name of changed) assert.match(after[name] ?? '', expected);
        for (const name of changed) assert.not.match(after[name] ?? '', 'resume=');
        assert.match(JSON.stringify(actionLog().at(-1)?.action), /fsfreeze/);
        await prepare({ undo: true, yes: true, skip: [] });
        assert.equal(tree(root), before);
      },
    ),
  );
}
step.run();
