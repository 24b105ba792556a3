import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { parseConfig } from '../../../../agent/config/config.ts';
import { type Sample, measureGrowth, takeSample } from '../../../../agent/prepare/rehearsal/growth.ts';
import { findRefusedWrite, remedyFor, topmost } from '../../../../agent/prepare/rehearsal/refused-writes.ts';
import { parseUnits, readProgress, readUnits } from '../../../../agent/prepare/rehearsal/units.ts';
import { scratchOverlay } from '../../../harness/changes.ts';
import { goodGuest, rehearsalGuest, withGuest } from '../../../harness/guest.ts';

const found = suite('messages that report a refused write');
for (const [message, path] of [
  ["touch: cannot touch '/opt/agent/state': Read-only file system", '/opt/agent/state'],
  ['sh: 1: cannot create /opt/agent/state: Read-only file system', '/opt/agent/state'],
  ['/usr/lib/agent/run.sh: line 3: /opt/agent/x.pid: Read-only file system', '/opt/agent/x.pid'],
  ["mv: cannot move '/etc/v/key.new' to '/etc/v/key': Read-only file system", '/etc/v/key'],
  ["cp: cannot create regular file '/srv/a b/c': Read-only file system", '/srv/a b/c'],
  ['mkdir: cannot create directory ‘/opt/x’: Read-only file system', '/opt/x'],
  ["OSError: [Errno 30] Read-only file system: '/opt/x/y'", '/opt/x/y'],
  ["agent /opt/agent/main.py: [Errno 30] Read-only file system: '/opt/agent/db'", '/opt/agent/db'],
  ['open /opt/agent/state.db: read-only file system', '/opt/agent/state.db'],
  ["Error: EROFS: read-only file system, open '/opt/app/log.txt'", '/opt/app/log.txt'],
  ["sed: couldn't open temporary file /etc/sedAbC: Read-only file system", '/etc/sedAbC'],
  ['see http://example.com/opt/x: Read-only file system', null],
  ['a.service: Failed at step STDOUT spawning /opt/agent/bin/agent: Read-only file system', null],
  [
    'a.service: Failed to set up mount namespacing: /run/systemd/unit-root/srv/a: Read-only file system',
    '/srv/a',
  ],
  ['Failed to write state, ignoring: Read-only file system', null],
  ["cannot touch 'state': Read-only file system", null],
  ["cannot touch '/opt/../etc/shadow': Read-only file system", null],
  [`cannot touch '/${'x'.repeat(1100)}': Read-only file system`, null],
  ['cannot touch "/opt//x/./y/": Read-only file system', '/opt/x/y'],
] as const) {
  found(message.slice(0, 80), () => assert.is(findRefusedWrite(message), path));
}
for (const message of [
  'Mounted the root file system read-only',
  'EXT4-fs (vda1): re-mounted. Opts: ro',
  '/opt/x: Permission denied',
  `${'x'.repeat(2000)} /opt/x: Read-only file system`,
  'XEROFSX',
]) {
  found(`no refused write: ${message.slice(0, 60)}`, () => assert.is(findRefusedWrite(message), undefined));
}
found('a hostile message is examined in a moment', () => {
  const began = performance.now();
  for (const part of ["'/", '/ ', '"/x', '‘/a'])
    findRefusedWrite(`${part.repeat(1000)}: Read-only file system`);
  assert.ok(performance.now() - began < 500);
});
found.run();

const remedies = suite('the remedy for a refused write');
for (const [path, folder, proposed, says] of [
  ['/opt/agent/data/state', '/opt/agent/data', '/opt/agent/data', /Add \/opt\/agent\/data to OVERLAY/],
  ['/u01/oradata/x', '/u01/oradata', '/u01/oradata', /Oracle.*overlay would lose.*to PERSIST\.$/],
  ['/etc/vendor/key', '/etc/vendor', '/etc/vendor', /PERSIST/],
  ['/root/.bash_history', '/root', '/root', /OVERLAY/],
  ['/usr/local/agent/x', '/usr/local/agent', '/usr/local/agent', /OVERLAY/],
  ['/etc/resolv.conf', '/etc', null, /rename\(2\); OVERLAY=\/etc works, but/],
  ['/state', '/', null, /Create the directory for \/state/],
  ['/usr/lib/x/cache', '/usr/lib/x', null, /Only updates change \/usr\/lib\/x/],
  ['/boot/grub2/grubenv', '/boot/grub2', null, /Only updates change/],
  ['/home/alice/x', '/home/alice', null, /--home-device/],
  ['/tmp/x', '/tmp', null, /--only tmp/],
  ['/run/x/y', '/run/x', null, /not on the system disk/],
  ['/var/lib/x', '/var/lib', null, /^\/var should be writable/],
  ['/srv/kept/x', '/srv/kept', null, /^\/srv should be writable/],
  ['/opt/my agent/x', '/opt/my agent', null, /characters/],
  ['/opt/$(reboot)/x', '/opt/$(reboot)', null, /characters/],
  [null, '/', null, /names no file/],
] as const) {
  remedies(String(path), () => {
    const remedy = remedyFor(path, folder, ['/srv']);
    assert.is(remedy.folder, proposed);
    assert.match(remedy.text, says);
    assert.is(remedy.harmless, false);
    if (proposed === null) return;
    for (const key of ['OVERLAY', 'PERSIST'])
      assert.equal(parseConfig(`${key}=${proposed}\n`).problems, [], 'the configuration accepts it');
  });
}
remedies("Python's cache is not needed", () => {
  for (const path of ['/opt/a/__pycache__/b.cpython-39.pyc', '/opt/a/b.pyc'])
    assert.equal(
      [remedyFor(path, '/opt/a', []).harmless, remedyFor(path, '/opt/a', []).folder],
      [true, null],
    );
});
remedies('a folder with a similar name is not covered', () =>
  assert.is(remedyFor('/srv2/x', '/srv2', ['/srv']).folder, '/srv2'),
);
remedies('folders below another one are left out', () =>
  assert.equal(topmost(['/opt/a/b', '/opt/a', '/opt/ab', '/opt/a']), ['/opt/a', '/opt/ab']),
);
remedies.run();

/** As `systemctl show` of systemd 219 and 257 prints it. */
const shown = `Id=a.service
ActiveState=failed
Result=exit-code
ConditionResult=yes
ConditionTimestampMonotonic=5000000

Id=skipped.service
ActiveState=inactive
Result=success
ConditionResult=no
ConditionTimestampMonotonic=5000001

Id=never-started.service
ActiveState=inactive
Result=success
ConditionResult=no
ConditionTimestampMonotonic=0

Id=running.service
ActiveState=active
Result=success
ConditionResult=yes
ConditionTimestampMonotonic=5000002
`;
const units = suite('the states of units');
units('failed and skipped units; a unit that was never started is neither', () => {
  const { failed, skipped } = parseUnits(shown);
  assert.equal([...failed], [['a.service', 'exit-code']]);
  assert.equal([...skipped], ['skipped.service']);
});
units('no output', () => assert.is(parseUnits('').failed.size, 0));
units('systemctl fails: an error, not an empty list', async () => {
  const guest = goodGuest();
  guest.answers.run = () => ({ stdout: '', ended: 'deadline' });
  await withGuest(guest, async (reader) => {
    const error = await readUnits(reader).catch((reason: unknown) => reason);
    assert.match((error as Error).message, 'systemctl show failed (deadline)');
  });
});
for (const [isComplete, states] of [
  [true, ['running', 'degraded']],
  [false, ['starting', 'initializing', 'stopping', '']],
] as const) {
  units(`a boot in the state ${states.join(', ')} is ${isComplete ? '' : 'not '}complete`, async () => {
    for (const state of states) {
      const guest = goodGuest();
      guest.answers.run = () => ({ stdout: `${state}\n`, ended: 'bad' });
      const progress = await withGuest(guest, readProgress);
      assert.equal(progress, { isComplete, isStopping: state === 'stopping' });
    }
  });
}
units.run();

const MiB = 1024 ** 2;
const sample = (
  at: number,
  usedMiB: number,
  largest: Record<string, number> = {},
  inodesUsed = 10,
): Sample => ({
  at,
  usage: { type: 0, sizeBytes: 256 * MiB, usedBytes: usedMiB * MiB, inodes: 10_000, inodesUsed },
  largest: Object.entries(largest).map(([path, size]) => ({ path, bytes: size * MiB, inodes: 1 })),
});

const growth = suite('the growth of the layers');
growth('1 MiB/s: the file, the rate, and when the layers are full', () => {
  const found = measureGrowth(
    sample(100, 20, { '/var/lib/grower': 5, '/var/log/audit': 3 }),
    sample(160, 80, { '/var/lib/grower': 65, '/var/log/audit': 3 }),
  );
  assert.is(found?.seconds, 60);
  assert.is(found?.bytes, 60 * MiB);
  assert.equal(found?.largest, [{ path: '/var/lib/grower', bytes: 60 * MiB, inodes: 0 }]);
  assert.equal(found?.forecast, { full: 'in', seconds: 176 });
});
const later = (seconds: number) => ({ full: 'in', seconds }) as const;
const notWithin = (seconds: number) => ({ full: 'not within', seconds }) as const;
const early = sample(100, 20);
const logs = (size: number) => ({ '/var/log/journal': size });
for (const [title, first, last, forecast] of [
  ['constant', early, sample(1000, 20), notWithin(900_000)],
  ['shrinking', early, sample(160, 10), notWithin(600)],
  ['too short', early, sample(129, 250), { full: 'unknown' }],
  ['a short measurement predicts ten times its length', early, sample(160, 43), later(556)],
  ['and not more', early, sample(160, 40), notWithin(600)],
  ['a long one allows a longer forecast', early, sample(1900, 21), later(423_000)],
  ['inodes are full before bytes', sample(0, 20, {}, 1000), sample(60, 30, {}, 4000), later(120)],
  ['full already', sample(0, 100), sample(60, 256), later(0)],
  ['journald limits its own files', sample(0, 20, logs(8)), sample(60, 52, logs(40)), notWithin(600)],
] as const) {
  growth(title, () => assert.equal(measureGrowth(first, last)?.forecast, forecast));
}
for (const [layer, isMeasured] of [
  ['/run/var/below/srv+build', true],
  ['/run/immutafs/scratch-disk/srv=build', false],
] as const) {
  growth(`a path of SCRATCH with its layer in ${layer}: ${isMeasured ? '' : 'not '}measured`, async () => {
    const guest = rehearsalGuest();
    scratchOverlay(layer)(guest);
    const taken = await withGuest(guest, (reader) => takeSample(reader, { SCRATCH: '/srv/build' }));
    const measured = taken?.largest.filter(({ path }) => path.startsWith('/srv'));
    assert.equal(measured, isMeasured ? [{ path: '/srv/build/file', bytes: 16384, inodes: 1 }] : []);
  });
}
growth('nothing to compare', () => {
  assert.is(measureGrowth(undefined, sample(1, 1)), null);
  assert.is(measureGrowth(sample(1, 1), undefined), null);
  assert.is(measureGrowth(sample(1, 1), sample(1, 1)), null);
});
growth.run();
