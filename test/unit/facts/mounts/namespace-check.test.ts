import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mountTable } from '../../../../agent/facts/mounts/mountinfo.ts';
import { findNamespaceProblems } from '../../../../agent/facts/mounts/namespace-check.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const view = suite('namespace check');
view('a mount table without "/" is a chroot, even if PID 1 has no mount there', () => {
  inTemporaryDirectory((root) => {
    const mountinfo = '61 60 253:0 / /x ro - xfs /dev/sda1 ro\n';
    writeFiles(root, {
      'proc/1/mountinfo': mountinfo,
      'proc/self/ns/pid': { linkTo: 'pid:[4026531836]' },
      'proc/self/ns/user': { linkTo: 'user:[4026531837]' },
    });
    const problems = findNamespaceProblems(systemReader({ root }), mountTable(mountinfo));
    assert.is(problems.at(-1), 'another mount namespace or another root than those of PID 1');
  });
});
view.run();
