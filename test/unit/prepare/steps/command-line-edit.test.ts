import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { kernelLines, openSearches } from '../../../../agent/facts/boot/boot-loader.ts';
import {
  correctArguments,
  correctDefaults,
  correctLoaderFile,
} from '../../../../agent/prepare/steps/command-line-edit.ts';
import { rhel7GrubConfig } from '../../../harness/grub-config.ts';

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
] as const) {
  args(`/etc/default/grub: ${title}`, () => {
    assert.is(correctDefaults(before, ['noresume']), after);
    if (after !== undefined) assert.is(correctDefaults(after, ['noresume']), after);
  });
}
args.run();
