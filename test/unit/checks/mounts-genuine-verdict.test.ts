import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Report, exitCode } from '../../../agent/report/report.ts';
import { all, disk, edit, file, fstab, handoff, without } from '../../harness/changes.ts';
import { cmdline, copied, device, plainRoot, record, secondDisk, xfs } from '../../harness/copies.ts';
import { type Recording, el7Guest } from '../../harness/el7-guest.ts';
import { evaluateFixture, goodGuest, maintenanceGuest } from '../../harness/guest.ts';

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

/** Tests recordings of a RHEL 7 guest with a writable copy of its system disk; see test/fixtures/el7/README.md. */

const reportOf = (
  name: Recording,
  change: (guest: ReturnType<typeof el7Guest>) => void = () => undefined,
) => {
  const guest = el7Guest(name);
  change(guest);
  return evaluateFixture(guest);
};
const textOf = (content: unknown) => (typeof content === 'string' ? content : '');
const statusOf = ({ checks }: Report, id: string) => checks.find((each) => each.id === id);

const el7 = suite('mounts-genuine: RHEL 7 beside a copy of its disk');
el7('sealed, without a copy: no impostor', async () => {
  const report = await reportOf('clone-second', (guest) => {
    guest.devices = guest.devices.filter(({ name }) => name !== 'vdb');
  });
  assert.equal([report.mode, report.verdict, exitCode(report)], ['sealed', 'sealed', 0]);
  assert.equal(report.impostors, []);
  assert.is(statusOf(report, 'impostor-absent')?.status, 'pass');
  assert.is(statusOf(report, 'mounts-genuine')?.status, 'pass');
});

el7('the system runs from the sealed disk, the copy is named, exit 0', async () => {
  const report = await reportOf('clone-second');
  assert.equal([report.mode, report.verdict, exitCode(report)], ['sealed', 'sealed', 0]);
  assert.equal(report.impostors, [
    {
      device: '/dev/vdb1',
      sealedDevice: '/dev/vda1',
      identity: 'UUID=17d73eec-69d4-46d1-bf44-bfeba7e36233',
    },
    {
      device: '/dev/vdb2',
      sealedDevice: '/dev/vda2',
      identity: 'UUID=8GSnDY-AcJg-aMUB-RyMr-y5sS-pngr-ZJBqEQ',
    },
  ]);
  const finding = statusOf(report, 'impostor-absent');
  assert.is(finding?.status, 'warn');
  for (const name of ['/dev/vdb1', '/dev/vda1', '/dev/vdb2', '/dev/vda2']) {
    assert.ok(finding?.observed.includes(name), name);
  }
  assert.is(statusOf(report, 'mounts-genuine')?.status, 'pass');
});

el7('root runs from the copy: never maintenance, failed, exit 1, both devices named', async () => {
  const report = await reportOf('clone-first');
  assert.equal([report.mode, report.verdict, exitCode(report)], ['sealed', 'failed', 1]);
  const finding = statusOf(report, 'mounts-genuine');
  assert.is(finding?.status, 'fail');
  assert.is(finding?.severity, 'required');
  for (const name of ['/dev/vda2', '/dev/vdb2']) assert.ok(finding?.observed.includes(name), name);
  for (const { id, remedy } of report.checks) {
    assert.not.match(remedy, /virt-xml|read-only/, `${id} advises to seal the copy`);
  }
  assert.ok(report.reason.includes('/dev/vda2') && report.reason.includes('/dev/vdb2'), report.reason);
});

el7('the same with immutafs=off: mode off, verdict failed', async () => {
  const report = await reportOf('clone-first', ({ files }) => {
    files['proc/cmdline'] = `${textOf(files['proc/cmdline']).trim()} immutafs=off\n`;
    files['run/immutafs/boot.env'] = textOf(files['run/immutafs/boot.env']).replace('maintenance', 'off');
  });
  assert.equal([report.mode, report.verdict, exitCode(report)], ['off', 'failed', 1]);
});

el7('counterpart: without the sealed disk the same guest is in maintenance', async () => {
  const report = await reportOf('clone-first', ({ devices }) => {
    const index = devices.findIndex(({ name }) => name === 'vdb');
    devices[index] = { ...devices[index], offered: false } as (typeof devices)[number];
  });
  assert.equal([report.mode, report.verdict, exitCode(report)], ['maintenance', 'maintenance', 4]);
  assert.equal(report.impostors, []);
});
el7.run();
