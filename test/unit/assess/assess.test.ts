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
import { evaluateFixture, goodGuest, withGuest } from '../../harness/guest.ts';

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
  ...{ name, bus: 'virtio-blk', readOnly: true, hostReadOnly: true, evidence: '' },
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
