import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exitCode } from '../../../agent/report/report.ts';
import { all, disk, edit, file, fstab, handoff, without } from '../../harness/changes.ts';
import { cmdline, copied, device, plainRoot, record, secondDisk, xfs } from '../../harness/copies.ts';
import { goodGuest, maintenanceGuest, evaluateFixture } from '../../harness/guest.ts';

const rootAt = (source: string, properties: Record<string, string>) =>
  all(plainRoot('252:34'), copied(properties), cmdline(`root=${source}`), fstab());
const verdicts = suite('mounts-genuine: the verdict if the system runs from a copy');
/**
 * A guest that is not sealed: as after an attack, the copy is mounted writable, and the boot chose maintenance mode.
 */
const attacked = all(
  rootAt('UUID=1f5a-AB', xfs),
  edit('root', / ro(,relatime .*) ro$/, ' rw$1 rw'),
  without('var', 'upper', 'lower'),
  handoff({ MODE: 'maintenance', REASON: 'disk vdc is writable', VAR: 'disk' }),
);
for (const [title, change, expected] of [
  ['the boot record says maintenance', attacked, ['sealed', 'failed', 1]],
  [
    'there is no boot record',
    all(attacked, file('run/immutafs/boot.env', undefined)),
    ['sealed', 'failed', 1],
  ],
  ['MODE=off', all(attacked, file('etc/immutafs/immutafs.conf', 'MODE=off\n')), ['sealed', 'failed', 1]],
  [
    'counterpart: no disk is read-only in the host',
    all(attacked, disk({ offered: false })),
    ['maintenance', 'maintenance', 4],
  ],
  [
    'counterpart: the read-only disk has other identities',
    all(attacked, record('252:2', { ...xfs, ID_FS_UUID: 'other' })),
    ['maintenance', 'maintenance', 4],
  ],
] as const) {
  verdicts(title, async () => {
    const guest = goodGuest();
    change(guest);
    const report = await evaluateFixture(guest);
    assert.equal([report.mode, report.verdict, exitCode(report)], [...expected]);
  });
}

verdicts('maintenance with an ISO, a read-only data disk and a data disk: maintenance, exit 4', async () => {
  const guest = maintenanceGuest();
  all(
    device({ name: 'sr0', device: '11:0', bus: 'ata', readOnly: true }),
    record('11:0', { ID_FS_TYPE: 'iso9660', ID_FS_UUID: '2024', ID_FS_LABEL_ENC: 'cidata' }),
    secondDisk({ offered: true }),
    record('252:34', xfs),
    record('252:2', { ...xfs, ID_FS_UUID: 'own' }),
  )(guest);
  const report = await evaluateFixture(guest);
  assert.equal([report.mode, report.verdict, exitCode(report)], ['maintenance', 'maintenance', 4]);
  assert.equal(report.impostors, []);
});

verdicts.run();
