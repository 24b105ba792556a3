import fs from 'node:fs';
import path from 'node:path';
import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import type { StepId } from '../../../../agent/prepare/engine/step.ts';
import { rhel7GrubConfig } from '../../../harness/grub-config.ts';
import { type Files, guestWith, table } from '../../../harness/step-table.ts';
import { tree, withBox } from '../../../harness/prepare-box.ts';
import { kernelLines, openSearches } from '../../../../agent/facts/boot/boot-loader.ts';
import {
  correctArguments,
  correctDefaults,
  correctLoaderFile,
} from '../../../../agent/prepare/steps/kernel-arguments.ts';

const files: Files = {
  'boot/grub2/grub.cfg': rhel7GrubConfig,
  'etc/default/grub': 'GRUB_CMDLINE_LINUX="crashkernel=auto resume=/dev/mapper/rhel-swap"\n',
};
const cmdline = (text: string): Files => ({ 'proc/cmdline': `root=/dev/mapper/rhel-root ro ${text}\n` });
const cloudInit: Files = { 'usr/bin/cloud-init': '', 'etc/cloud/cloud.cfg': '' };
const disabled: Files = { 'usr/bin/cloud-init': '', 'etc/cloud/cloud-init.disabled': '' };
const seed: Files = { 'etc/immutafs/immutafs.conf': 'SEED=host\n' };
table('boot: kernel arguments', 'boot', {
  'by hand: a command line from the host': [
    cmdline('resume=/dev/vdb'),
    /resume=\/dev\/vdb and comes from the host/,
  ],
  'done: a command line from the host, without resume=': [cmdline('')],
  'by hand: an assignment that is not plain': [
    {
      'boot/grub2/grub.cfg': 'linux /vmlinuz-1 ro noresume\n',
      'etc/default/grub': 'GRUB_CMDLINE_LINUX="`x`"\n',
    },
    /\/etc\/default\/grub has no plain assignment of GRUB_CMDLINE_LINUX: add noresume/,
  ],
  'needed: cloud-init': [
    cloudInit,
    /label cidata or config-2/,
    [
      'edit /etc/cloud/cloud-init.disabled: Written by immutafs-agent prepare: a writable disk must not configure this guest.',
    ],
  ],
  'done: cloud-init, disabled': [disabled],
  'done: cloud-init with SEED=host': [{ ...cloudInit, ...seed }],
  'needed: cloud-init with SEED=host, disabled by an earlier run': [
    { ...disabled, ...seed },
    /which SEED=host needs: it will be removed/,
    ['remove /etc/cloud/cloud-init.disabled'],
  ],
  'by hand: Ignition': [cmdline('ignition.firstboot'), /Ignition configure this guest again/],
});

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
          'boot/efi/EFI/redhat/grubenv',
          'boot/grub2/grub.cfg',
          'etc/default/grub',
          'etc/kernel/cmdline',
        ];
        // Use whole milliseconds, because a copy does not keep smaller units.
        for (const name of edited) fs.lutimesSync(path.join(root, name), 1e9, 1e9);
        const before = tree(root);
        const { code, stdout } = await prepare({ ...only, apply: true, yes: true });
        assert.is(code, 0, stdout);
        const after = tree(root);
        const changed = Object.keys(after).filter((name) => after[name] !== before[name]);
        assert.equal(changed.toSorted(), edited);
        for (const name of changed) {
          assert.match(after[name] ?? '', expected);
          assert.not.match(after[name] ?? '', 'resume=');
        }
        assert.match(JSON.stringify(actionLog().at(-1)?.action), /fsfreeze/);
        await prepare({ undo: true, yes: true, skip: [] });
        assert.equal(tree(root), before);
      },
    ),
  );
}
step.run();

const both = ['noresume', 'noefi'] as const;
const args = suite('editing kernel command lines');

for (const [before, after] of [
  ['root=/dev/x ro quiet', 'root=/dev/x ro quiet noresume noefi'],
  ['ro resume=/dev/mapper/rhel-swap rhgb', 'ro rhgb noresume noefi'],
  ['resume=UUID=1 resume_offset=7 ro', ' ro noresume noefi'],
  ['ro noresume efi=noruntime', 'ro noresume efi=noruntime'],
  ['ro noresume noefi efi=runtime', 'ro noresume noefi efi=runtime noefi'],
  ['resumewait noresumes', 'resumewait noresumes noresume noefi'],
  ['', 'noresume noefi'],
] as const) {
  args(`"${before}"`, () => {
    assert.is(correctArguments(before, both), after);
    assert.is(correctArguments(after, both), after);
  });
}

args('grub.cfg: the lines of every kernel, and no others', () => {
  const file = { file: '/boot/grub2/grub.cfg', kind: 'grub', text: rhel7GrubConfig } as const;
  const after = correctLoaderFile(file, ['noresume'], false);
  const changed = after.split('\n').filter((line, index) => line !== rhel7GrubConfig.split('\n')[index]);
  assert.equal(changed, [
    '\tlinux16 /vmlinuz-3.10.0-1160 root=/dev/mapper/rhel-root ro rhgb quiet noresume',
    '\tlinuxefi /vmlinuz-0-rescue-0123 noresume',
  ]);
  assert.is(correctLoaderFile({ ...file, text: after }, ['noresume'], false), after);
  assert.equal(
    kernelLines({ files: [{ ...file, text: after }] }).map(({ words }) => words.at(-1)),
    ['noresume', 'noresume'],
  );
  assert.equal(openSearches(rhel7GrubConfig), ['search --no-floppy --fs-uuid --set=root 1f5a']);
});

args('a boot entry with its own arguments, and one with $kernelopts', () => {
  const entry = (text: string) => ({ file: '/boot/loader/entries/1.conf', kind: 'entry', text }) as const;
  const own = entry('title x\noptions root=/dev/x ro resume=/dev/y\ngrub_users $grub_users\n');
  assert.is(
    correctLoaderFile(own, both, true),
    'title x\noptions root=/dev/x ro noresume noefi\ngrub_users $grub_users\n',
  );
  const common = entry('title x\noptions $kernelopts $tuned_params\n');
  assert.is(correctLoaderFile(common, both, true), common.text);
  assert.is(
    correctLoaderFile(common, both, false),
    'title x\noptions $kernelopts $tuned_params noresume noefi\n',
  );
});

args('grubenv stays a block of 1024 bytes', () => {
  const block = (text: string) => `# GRUB Environment Block\n${text}`.padEnd(1024, '#');
  const env = { file: '/boot/grub2/grubenv', kind: 'environment' } as const;
  const text = block('saved_entry=1\nkernelopts=root=/dev/x ro resume=/dev/y \nboot_success=0\n');
  const after = correctLoaderFile({ ...env, text }, both, true);
  assert.is(after, block('saved_entry=1\nkernelopts=root=/dev/x ro noresume noefi\nboot_success=0\n'));
  const full = block(`kernelopts=${'x'.repeat(980)}\n`);
  assert.throws(() => correctLoaderFile({ ...env, text: full }, both, true), /no space/);
});

for (const [title, before, after] of [
  [
    'double quotes',
    'GRUB_CMDLINE_LINUX="crashkernel=auto resume=/dev/y rhgb"\n',
    'GRUB_CMDLINE_LINUX="crashkernel=auto rhgb noresume"\n',
  ],
  ['single quotes', "GRUB_CMDLINE_LINUX='quiet'  # x\n", "GRUB_CMDLINE_LINUX='quiet noresume'  # x\n"],
  ['no quotes', 'GRUB_CMDLINE_LINUX=quiet\n', 'GRUB_CMDLINE_LINUX="quiet noresume"\n'],
  ['empty', 'GRUB_CMDLINE_LINUX=""\n', 'GRUB_CMDLINE_LINUX="noresume"\n'],
  [
    'only for the default entry',
    'GRUB_CMDLINE_LINUX=""\nGRUB_CMDLINE_LINUX_DEFAULT="quiet resume=UUID=1"\n',
    'GRUB_CMDLINE_LINUX="noresume"\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\n',
  ],
  ['none', 'GRUB_TIMEOUT=5', 'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX="noresume"\n'],
  ['a command in it', 'GRUB_CMDLINE_LINUX="quiet $(x)"\n', undefined],
  [
    'appended to',
    'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX quiet"\n',
    'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX quiet noresume"\n',
  ],
  [
    'only appended to',
    'GRUB_CMDLINE_LINUX+=" rd.lvm.lv=rhel/root resume=/dev/y"\n',
    'GRUB_CMDLINE_LINUX+=" rd.lvm.lv=rhel/root noresume"\n',
  ],
  [
    'assigned, and nothing left of what was appended',
    'GRUB_CMDLINE_LINUX="quiet"\nGRUB_CMDLINE_LINUX+=" resume=/dev/y"\nGRUB_CMDLINE_LINUX+=""\n',
    'GRUB_CMDLINE_LINUX="quiet noresume"\nGRUB_CMDLINE_LINUX+=" noresume"\nGRUB_CMDLINE_LINUX+=" noresume"\n',
  ],
] as const) {
  args(`/etc/default/grub: ${title}`, () => {
    assert.is(correctDefaults(before, ['noresume']), after);
    if (after !== undefined) assert.is(correctDefaults(after, ['noresume']), after);
  });
}
args.run();
