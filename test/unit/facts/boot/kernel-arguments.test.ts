import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hasNoEfiRuntime } from '../../../../agent/facts/boot/kernel-arguments.ts';

const args = suite('hasNoEfiRuntime');
args('the last of noefi and efi= takes effect', () => {
  for (const words of [
    'noefi',
    'efi=noruntime',
    'efi=debug,noruntime',
    'efi=runtime noefi',
    'noefi efi=debug',
  ]) {
    assert.is(hasNoEfiRuntime(words.split(' ')), true, words);
  }
  for (const words of ['', 'efi=runtime', 'noefi efi=runtime', 'efi=old_map', 'noefi2', 'efi=noruntimes']) {
    assert.is(hasNoEfiRuntime(words.split(' ')), false, words);
  }
});
args.run();
