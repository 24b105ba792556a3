import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AssessedFacts, assess } from '../../../agent/assess/assess.ts';
import { findSystemDisks } from '../../../agent/assess/system-disks.ts';
import { parseConfig } from '../../../agent/config/config.ts';
import { gatherFacts } from '../../../agent/facts/facts.ts';
import { mountTable } from '../../../agent/facts/mounts/mountinfo.ts';
import { SystemError } from '../../../agent/lib/errors.ts';
import type { SystemReader } from '../../../agent/system/reader.ts';
import { type Change, all, config, disk, edit, file, fstab, mount, nothing } from '../../harness/changes.ts';
import { copied, part, xfs } from '../../harness/copies.ts';
import { testFindings } from '../../harness/finding.ts';
import { evaluateFixture, goodGuest, withGuest, bootEnv } from '../../harness/guest.ts';
import { parseBootEnv } from '../../../agent/facts/boot/boot-env.ts';
import { decideMode } from '../../../agent/assess/mode.ts';
import fc from 'fast-check';
import { forecastUsage } from '../../../agent/assess/forecast.ts';
import type { UsageSample } from '../../../agent/facts/records.ts';

async function assessed(
  change: Change,
  as: (reader: SystemReader) => SystemReader = (reader) => reader,
): Promise<AssessedFacts> {
  const guest = goodGuest();
  change(guest);
  return withGuest(guest, async (reader) => assess(await gatherFacts(as(reader))));
}

const judgements = [
  ...(['systemDisks', 'hostReadOnlyTargets', 'footholds', 'impostors', 'foreignMounts'] as const),
  ...(['fstabEntries', 'persistentAutostart'] as const),
];
/** Returns the names of the judgements that could not be made. */
const unknown = (facts: AssessedFacts) => judgements.filter((name) => 'error' in facts[name]);

/** Returns a reader for which reads of some files fail. */
const failing =
  (isUnreadable: (name: string) => boolean, code = '') =>
  (reader: SystemReader): SystemReader => {
    const check = (name: string) => {
      if (isUnreadable(name)) throw new SystemError('unreadable', code);
    };
    return {
      ...reader,
      read: (name, limit) => (check(name), reader.read(name, limit)),
      readIfPresent: (name, limit) => (check(name), reader.readIfPresent(name, limit)),
      resolve: (name) => (check(name), reader.resolve(name)),
      stat: (name) => (check(name), reader.stat(name)),
    };
  };

const test = suite('assess');
test('a good guest: every judgement is made', async () => {
  const facts = await assessed(nothing);
  assert.equal(unknown(facts), []);
  assert.equal([facts.mode.mode, facts.enforcement], ['sealed', 'host']);
});

for (const [title, isUnreadable, expected] of [
  ['fstab', (name: string) => name === '/etc/fstab', ['impostors', 'foreignMounts', 'fstabEntries']],
  ['/etc/passwd', (name: string) => name === '/etc/passwd', ['persistentAutostart']],
  ['the mounts', (name: string) => name.endsWith('/mountinfo'), undefined],
  [
    'the block devices that are not mounted',
    (name: string) => name.endsWith('/size'),
    ['impostors', 'foreignMounts'],
  ],
] as const) {
  test(`unreadable: ${title}; the other judgements are made`, async () => {
    const facts = await assessed(nothing, failing(isUnreadable));
    assert.is(facts.mode.mode, 'sealed');
    if (expected !== undefined) assert.equal(unknown(facts), expected);
  });
}

test('the links of udev cannot be read: only fstabEntries are unknown', async () => {
  const facts = await assessed(
    nothing,
    failing((name) => name.startsWith('/dev/disk/')),
  );
  assert.equal(unknown(facts), ['fstabEntries']);
});

test('a line of fstab means the device on the sealed disk, even if the link of udev cannot be read', async () => {
  const facts = await assessed(
    all(copied({ ...xfs, ...part }), fstab('UUID=1f5a-AB /boot xfs ro 0 0')),
    failing((name) => name.startsWith('/dev/disk/')),
  );
  assert.equal(
    'value' in facts.fstabEntries && facts.fstabEntries.value.map(({ device, copies }) => [device, copies]),
    [['252:2', ['252:34']]],
  );
});

test('autostart counts only in home directories that persist', async () => {
  const passwd = [
    'root:x:0:0:root:/root:/bin/bash',
    'ann:x:1000:1000::/home/ann:/bin/bash',
    'bob:x:1001:1001::/tmp/bob:/bin/bash',
    '',
  ].join('\n');
  const profiles = ['root', 'home/ann', 'tmp/bob'].map((home) => file(`${home}/.profile`, 'x'));
  const { autostart, persistentAutostart } = await assessed(all(file('etc/passwd', passwd), ...profiles));
  const users = (found: AssessedFacts['autostart'] | AssessedFacts['persistentAutostart']) =>
    'value' in found ? found.value.map(({ user }) => user) : found.error;
  assert.equal(users(autostart), ['root', 'ann', 'bob']);
  assert.equal(users(persistentAutostart), ['ann']);
});

test('a home directory that cannot be read matters only if it persists', async () => {
  const passwd = (home: string) =>
    all(
      file('etc/passwd', `ann:x:1000:1000::/home/ann:/bin/bash\neve:x:1001:1001::${home}:/bin/bash\n`),
      file('home/ann/.profile', 'x'),
    );
  for (const [home, code] of [
    ['/root', 'EACCES'],
    ['/tmp/eve', 'MAY_HANG'],
    ['/dev/null', 'ENOTDIR'],
  ] as const) {
    const deny = failing((name) => name.startsWith(`${home}/`), code);
    const { persistentAutostart } = await assessed(passwd(home), deny);
    assert.equal('value' in persistentAutostart && persistentAutostart.value.map(({ user }) => user), [
      'ann',
    ]);
  }
  const denied = failing((name) => name.startsWith('/home/eve/'), 'EACCES');
  const { persistentAutostart } = await assessed(passwd('/home/eve'), denied);
  assert.equal('code' in persistentAutostart && persistentAutostart.code, 'EACCES');
});

test('a mount of an impostor at / is never maintenance', async () => {
  const change = all(
    copied({ ...xfs, ...part }),
    mount('root', '252:34 / / rw - xfs /dev/vdc2 rw'),
    fstab('UUID=1f5a-AB / xfs defaults 0 0'),
  );
  const { mode, foreignMounts } = await assessed(change);
  assert.equal('value' in foreignMounts && foreignMounts.value.map(({ target }) => target), ['/']);
  assert.equal(mode.mode, 'sealed');
  assert.match(mode.reason, 'a copy of /dev/vda2');
});
test.run();

const enforcement = suite('enforcement');
const writable = disk({ offered: false });
const rwMount = edit('root', '/ ro,', '/ rw,');
const rwFileSystem = edit('root', ' ro,seclabel', ' rw,seclabel');
for (const [title, change, expected] of [
  ['the host', nothing, 'host'],
  ['only a flag of the disk', all(disk({ offered: false, readOnly: true }), rwMount, rwFileSystem), 'guest'],
  ['only the mount', all(writable, rwFileSystem), 'guest'],
  ['only the file system of the mount', all(writable, rwMount), 'guest'],
  ['nothing', all(writable, rwMount, rwFileSystem), 'none'],
  [
    'the host, except for a disk of REQUIRE_READONLY',
    all(config('REQUIRE_READONLY=/ /home\n'), edit('home', '/home rw', '/home ro')),
    'partial',
  ],
] as const) {
  enforcement(title, async () => {
    const guest = goodGuest();
    change(guest);
    assert.is((await evaluateFixture(guest)).enforcement, expected);
  });
}
enforcement.run();

testFindings('footholds: findFootholds', {
  'a disk that is read-only only by its flag': [
    all(disk({ offered: false, readOnly: true }), mount('srv', '252:1 / /srv rw - xfs a rw')),
    'warn: /srv: xfs, writable, executable, outlives a reboot',
  ],
  'an overlay without an upper layer': [mount('c', '0:60 / /mnt rw - overlay o rw,lowerdir=/a:/b'), 'pass'],
  'an overlay whose upper layer is unknown': [
    mount('c', '0:60 / /mnt rw - overlay o rw,lowerdir=/a,upperdir=u,workdir=w'),
    'warn',
  ],
  'an overlay whose upper layer is below itself': [
    mount('c', '0:60 / /mnt rw - overlay o rw,lowerdir=/a,upperdir=/mnt/u,workdir=/mnt/w'),
    'warn',
  ],
  'a cycle of overlays': [
    mount('a', '0:60 / /a rw - overlay o rw,lowerdir=/x,upperdir=/b/u,workdir=/b/w'),
    mount('b', '0:61 / /b rw - overlay o rw,lowerdir=/x,upperdir=/a/u,workdir=/a/w'),
    'warn',
  ],
  'variables of the firmware, which are not executable': [
    mount('efi', '0:60 / /sys/firmware/efi/efivars rw - efivarfs efivarfs rw'),
    'pass: writable and persistent: 2',
  ],
  'a mount in memory over one on a sealed disk': [
    mount('below', '252:1 / /srv rw,noexec - xfs /dev/vda1 rw'),
    mount('over', '252:16 / /srv rw - xfs /dev/vdb rw'),
    'warn: /srv: xfs, writable, executable, outlives a reboot',
  ],
});

const diskOf = (name: string, ...holds: string[]) => ({
  ...{ name, bus: 'virtio-blk', serial: null, readOnly: true, hostReadOnly: true, evidence: '' },
  holds,
});
const mounts = mountTable(
  [
    '1 0 252:1 / / ro - xfs /dev/vda1 ro',
    '2 1 252:16 / /boot ro - xfs /dev/vdb ro',
    '3 1 252:32 / /home rw - xfs /dev/vdc rw',
    '4 1 0:40 / /tmp rw - tmpfs tmpfs rw',
    '',
  ].join('\n'),
);
const disks = [diskOf('vda', '/'), diskOf('vdb', '/boot'), diskOf('vdc', '/home')];
const find = (config: string) => findSystemDisks({ mounts, ...parseConfig(config) }, disks);

const system = suite('findSystemDisks');
for (const [title, config, expected] of [
  ['the disks below / and /boot by default', '', ['vda', 'vdb']],
  ['the disk below /, whatever REQUIRE_READONLY names', 'REQUIRE_READONLY=\n', ['vda']],
  ['the disk that serves a directory', 'REQUIRE_READONLY=/home/a /usr\n', ['vda', 'vdc']],
] as const) {
  system(title, () =>
    assert.equal(
      find(config).disks.map(({ name }) => name),
      expected,
    ),
  );
}
system('includes: one disk of several is enough', () => {
  const { includes } = find('');
  assert.is(includes([{ name: 'vdc' }, { name: 'vdb' }]), true);
  assert.is(includes([{ name: 'vdc' }, { name: 'vd' }]), false);
  assert.is(includes([]), false);
});
system('holds: a mount on a disk of the system', () => {
  const { holds } = find('');
  assert.is(holds(mounts.serving('/boot/grub2')), true);
  assert.is(holds(mounts.serving('/opt')), true);
  assert.is(holds(mounts.serving('/home')), false);
  assert.is(holds(mounts.serving('/tmp')), false);
  assert.is(holds(undefined), false);
});
system.run();

const rootDisk = (readOnly: boolean) => ({
  ...{
    name: 'vda',
    bus: 'virtio-blk',
    serial: null,
    readOnly,
    hostReadOnly: readOnly,
    evidence: 'virtio feature',
  },
  holds: ['/'],
});
const boot = (MODE: string, changes: Record<string, string> = {}) => ({
  value: parseBootEnv(bootEnv({ MODE, REASON: `boot: ${MODE}`, ...changes })),
});
const none = { value: undefined };
const blind = { error: 'no such file', code: 'ENOENT' };
const isSealed = { value: [rootDisk(true)] };
const isOpen = { value: [rootDisk(false)] };
const onlyData = { value: [rootDisk(false), { ...rootDisk(true), name: 'vdb', holds: ['/srv'] }] };
const byDisk = 'sealed, disk vda is read-only';
const open = 'maintenance, no disk under / is read-only';
const requestedOff = 'off, MODE or kernel argument: off';
const impostor = { target: '/', device: '/dev/vdb2', sealedDevice: '/dev/vda2', identity: 'UUID=1' };
const ofCopy = 'sealed, meant to be sealed, but / is on /dev/vdb2, a copy of /dev/vda2';

const decided = suite('decideMode');
for (const [title, requested, record, disks, expected, foreignRoot] of [
  ['boot.env: sealed', 'auto', boot('sealed'), isSealed, 'sealed, boot: sealed'],
  ['boot.env: sealed, on a writable disk', 'sealed', boot('sealed'), isOpen, 'sealed, boot: sealed'],
  ['boot.env: maintenance', 'auto', boot('maintenance'), isOpen, 'maintenance, boot: maintenance'],
  ['boot.env: off, as requested', 'off', boot('off'), isSealed, 'off, boot: off'],
  ['boot.env: off, but not requested', 'auto', boot('off'), isSealed, byDisk],
  ['boot.env: maintenance, but the disk is read-only', 'auto', boot('maintenance'), isSealed, byDisk],
  ['the same with MODE=off', 'off', boot('maintenance'), isSealed, byDisk],
  ['no boot.env: a read-only disk', 'auto', none, isSealed, byDisk],
  ['no boot.env: a writable disk', 'auto', none, isOpen, open],
  ['no boot.env: another disk is read-only', 'auto', none, onlyData, open],
  ['no boot.env: MODE=sealed', 'sealed', none, isOpen, 'sealed, MODE or kernel argument: sealed'],
  ['no boot.env: MODE=off', 'off', none, isSealed, requestedOff],
  ['boot.env cannot be read', 'auto', blind, isSealed, byDisk],
  ['the disks cannot be read', 'auto', boot('maintenance'), blind, 'sealed, the disks cannot be read'],
  ['the disks cannot be read, with MODE=off', 'off', boot('off'), blind, 'off, boot: off'],
  ['an impostor, boot.env: maintenance', 'auto', boot('maintenance'), isOpen, ofCopy, impostor],
  ['an impostor, boot.env: sealed', 'auto', boot('sealed'), isOpen, ofCopy, impostor],
  ['an impostor, no boot.env', 'auto', none, isOpen, ofCopy, impostor],
  ['an impostor, boot.env cannot be read', 'auto', blind, isOpen, ofCopy, impostor],
  ['an impostor, MODE=sealed', 'sealed', boot('sealed'), isOpen, ofCopy, impostor],
  ['an impostor, maintenance with MODE=off', 'off', boot('maintenance'), isOpen, ofCopy, impostor],
  ['an impostor, off, but not requested', 'auto', boot('off'), isOpen, ofCopy, impostor],
  ['an impostor, off, as requested', 'off', boot('off'), isOpen, 'off, boot: off', impostor],
  ['an impostor, no boot.env, with MODE=off', 'off', none, isOpen, requestedOff, impostor],
] as const) {
  decided(title, () => {
    const { mode, reason, ...rest } = decideMode(requested, record, disks, foreignRoot);
    assert.equal([`${mode}, ${reason}`, rest], [expected, { forced: requested === 'sealed' }]);
  });
}
for (const [title, mode, disks, expected] of [
  ['a writable disk', 'sealed', isOpen, { forced: true, rehearsal: { limitSeconds: 60 } }],
  ['a disk that the host made read-only: boot.env is wrong', 'sealed', isSealed, { forced: false }],
  ['not in mode maintenance', 'maintenance', isOpen, { forced: false }],
] as const) {
  decided(`rehearsal: ${title}`, () => {
    const record = boot(mode, { REHEARSAL: '60' });
    assert.equal(decideMode('auto', record, disks), { mode, reason: `boot: ${mode}`, ...expected });
  });
}
decided.run();

const forecast = suite('forecast of the usage of /var');
const limits = { sizeBytes: 256 * 2 ** 20, inodes: 204_800 };

/** Returns the forecast from values that were measured every two minutes; the last one is measured now. */
function over(bytes: readonly number[], inodes: readonly number[] = [], own = limits, pause = 120) {
  const samples = bytes.map((usedBytes, index): UsageSample => ({
    uptime: 1000 + index * pause,
    usedBytes,
    inodesUsed: inodes[index] ?? 0,
  }));
  const now = samples.pop();
  if (now === undefined) throw new Error('no sample');
  return forecastUsage(samples, now, own);
}

const steady = (count: number, perSecond: number, from = 0) =>
  Array.from({ length: count }, (_, index) => from + index * 120 * perSecond);

forecast('steady growth is extrapolated', () => {
  assert.equal(over(steady(6, 10_000)), {
    secondsUntilFull: Math.round((limits.sizeBytes - 6_000_000) / 10_000),
    limit: 'bytes',
    bytesPerSecond: 10_000,
    inodesPerSecond: 0,
    overSeconds: 600,
  });
});

forecast('inodes can be exhausted first', () => {
  const found = over(steady(6, 10_000), steady(6, 100));
  assert.is(found?.limit, 'inodes');
  assert.is(found?.secondsUntilFull, Math.round((204_800 - 60_000) / 100));
});

forecast('less than ten minutes, or too few samples, is not extrapolated', () => {
  assert.is(over(steady(5, 10_000)), undefined, 'eight minutes');
  assert.is(over(steady(4, 100_000), [], limits, 300), undefined, 'three intervals');
  assert.type(over(steady(5, 100_000), [], limits, 150), 'object', 'ten minutes, four intervals');
});

forecast('flat and shrinking usage has no forecast', () => {
  assert.is(over(steady(20, 0, 1e6)), undefined);
  assert.is(over(steady(20, -5000, 1e8)), undefined);
});

forecast('a rate is not extrapolated farther than a hundred times the period', () => {
  assert.is(over(steady(6, (limits.sizeBytes / 60_000) * 0.9)), undefined);
  assert.type(over(steady(6, (limits.sizeBytes / 60_000) * 1.1)), 'object');
});

forecast('a full layer is full now', () => {
  assert.is(over(steady(6, 10_000, limits.sizeBytes))?.secondsUntilFull, 0);
});

forecast('a layer without a limit is never full', () => {
  assert.is(over(steady(6, 1e6), steady(6, 1e6), { sizeBytes: 0, inodes: 0 }), undefined);
});

forecast('growth that began ten minutes ago counts in full, after two flat hours', () => {
  const values = [...steady(55, 0, 1e6), ...steady(7, 100_000, 1e6)];
  const found = over(values);
  assert.is(found?.bytesPerSecond, 100_000);
  assert.is(found?.overSeconds, 600);
});

forecast('one jump, up or down, anywhere, is no trend', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 7, max: 60 }),
      fc.nat(),
      fc.constantFrom(-1, 1),
      fc.integer({ min: 0, max: 20_000 }),
      (count, place, sign, rate) => {
        const at = 1 + (place % (count - 1));
        const jumped = steady(count, rate, 60e6).map(
          (value, index) => value + (index >= at ? sign * 50e6 : 0),
        );
        const found = over(jumped);
        if (rate === 0) assert.is(found, undefined);
        else if (found !== undefined)
          assert.ok(Math.abs(found.bytesPerSecond - rate) < 1, `${found.bytesPerSecond}`);
      },
    ),
  );
});

forecast('two jumps are a trend, so that the property above does not hold by accident', () => {
  const values = steady(12, 0, 1e6).map(
    (value, index) => value + (index >= 9 ? 50e6 : 0) + (index >= 10 ? 50e6 : 0),
  );
  assert.type(over(values), 'object');
});

const anySamples = fc
  .array(
    fc.record({
      pause: fc.double({ min: 0.01, max: 5000, noNaN: true }),
      usedBytes: fc.maxSafeNat(),
      inodesUsed: fc.maxSafeNat(),
    }),
    { minLength: 1, maxLength: 65 },
  )
  .map((all) => {
    let uptime = 0;
    return all.map(({ pause, usedBytes, inodesUsed }) => ({
      uptime: (uptime += pause),
      usedBytes,
      inodesUsed,
    }));
  });

forecast('a forecast from any samples is finite, not negative, and bounded', () => {
  fc.assert(
    fc.property(anySamples, fc.maxSafeNat(), fc.maxSafeNat(), (all, sizeBytes, inodes) => {
      const now = all.at(-1);
      if (now === undefined) return;
      const found = forecastUsage(all.slice(0, -1), now, { sizeBytes, inodes });
      if (found === undefined) return;
      assert.ok(Number.isSafeInteger(found.secondsUntilFull) && found.secondsUntilFull >= 0);
      assert.ok(found.overSeconds >= 600 && found.secondsUntilFull <= found.overSeconds * 101);
      assert.ok(Number.isFinite(found.bytesPerSecond) && Number.isFinite(found.inodesPerSecond));
    }),
  );
});
forecast.run();
