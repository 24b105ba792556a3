import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, all, config, disk, handoff, tryWrite } from '../../harness/changes.ts';
import { findingOf, testChanges } from '../../harness/finding.ts';

testChanges('root-write-probe', {
  'a write is accepted': [tryWrite('OK'), { 'root-write-probe': 'fail' }, 'the write was accepted'],
  'a write fails with another error': [tryWrite('EIO'), { 'root-write-probe': 'error' }, 'EIO'],
  'a write fails for lack of permission': [tryWrite('EACCES'), { 'root-write-probe': 'error' }, 'EACCES'],
});

const remedies = suite('root-write-probe: the remedy depends on what keeps the disk read-only');
for (const [title, id, change, command] of [
  ['the host holds the disk', 'root-write-probe', tryWrite('OK'), 'remount'],
  [
    'the host leaves it writable',
    'root-write-probe',
    all(
      config('MODE=sealed\n'),
      disk({ offered: false }),
      handoff({ REASON: 'MODE=sealed' }),
      tryWrite('OK'),
    ),
    'host',
  ],
  [
    'only a flag of the block device',
    'root-write-probe',
    all(disk({ offered: false, readOnly: true }), tryWrite('OK')),
    'host',
  ],
] as [string, string, Change, 'remount' | 'host' | 'fstab'][]) {
  remedies(`${id}: ${title}`, async () => {
    const { status, remedy } = await findingOf(id, change);
    assert.is(status, 'fail');
    const said = {
      remount: remedy.includes('mount -o remount,ro /'),
      host: remedy.includes('read-only in the host and reboot'),
      fstab: remedy.includes('/etc/fstab'),
    };
    assert.equal(said, { remount: false, host: false, fstab: false, [command]: true }, remedy);
  });
}
remedies.run();
