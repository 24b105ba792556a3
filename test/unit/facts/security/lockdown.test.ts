import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findLockdown } from '../../../../agent/facts/security/lockdown.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const lockdown = suite('lockdown');
lockdown('every setting', () => {
  inTemporaryDirectory((root) => {
    writeFiles(root, {
      'sys/kernel/security/lockdown': 'none [integrity] confidentiality\n',
      'proc/sys/kernel/modules_disabled': '0\n',
      'proc/sys/kernel/kexec_load_disabled': '1\n',
      'sys/module/module/parameters/sig_enforce': 'Y\n',
    });
    assert.equal(findLockdown(systemReader({ root })), {
      lockdown: 'integrity',
      modulesDisabled: false,
      signaturesEnforced: true,
      kexecDisabled: true,
    });
  });
});
lockdown('missing files: unknown', () => {
  inTemporaryDirectory((root) => {
    const none = {
      lockdown: undefined,
      modulesDisabled: undefined,
      signaturesEnforced: undefined,
      kexecDisabled: undefined,
    };
    assert.equal(findLockdown(systemReader({ root })), none);
  });
});
lockdown.run();
