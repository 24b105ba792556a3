import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LoggedAction } from '../../../../agent/prepare/engine/action-log.ts';
import { setOptions } from '../../../../agent/prepare/engine/fstab.ts';
import { withHome } from '../../../../agent/prepare/home/migration.ts';
import { formatMarker, parseMarker } from '../../../../agent/prepare/home/progress-marker.ts';
import { findMigration } from '../../../../agent/prepare/home/purge.ts';
import { disk, forDisk, guestWithDisk, guestWithFiles, programs, uuid } from '../../../harness/home-disk.ts';
import { planned } from '../../../harness/planned.ts';

const line = 'UUID=1234-5 /home xfs rw,noexec,nodev,nosuid 0 0';
const fstab = suite('prepare home: the line in fstab');

for (const [title, before, after] of [
  ['without a file', '', `${line}\n`],
  ['at the end', '# x\n/dev/a / xfs ro 0 0\n', `# x\n/dev/a / xfs ro 0 0\n${line}\n`],
  ['no last newline', '/dev/a / xfs ro 0 0', `/dev/a / xfs ro 0 0\n${line}\n`],
  [
    'in the place of a volume',
    '/dev/a / xfs ro 0 0\n/dev/mapper/rhel-home\t/home xfs defaults 1 2\n\n# end',
    `/dev/a / xfs ro 0 0\n#/dev/mapper/rhel-home\t/home xfs defaults 1 2\n${line}\n\n# end`,
  ],
  [
    'more lines',
    '/dev/b /home/ xfs\n/dev/c /home ext4\n',
    `#/dev/b /home/ xfs\n${line}\n#/dev/c /home ext4\n`,
  ],
  ['bytes stay', '# \xe9\n//s/\xff /m cifs x\n', `# \xe9\n//s/\xff /m cifs x\n${line}\n`],
  ['/homes is another', '/dev/b /homes xfs\n', `/dev/b /homes xfs\n${line}\n`],
] as const) {
  fstab(title, () => {
    assert.is(withHome(before, { uuid: '1234-5', type: 'xfs' }), after);
  });
}
fstab('the line of an ext4 takes precedence over errors=panic in its superblock', () => {
  for (const type of ['ext3', 'ext4'])
    assert.is(
      withHome('', { uuid: '1', type }),
      `UUID=1 /home ${type} rw,noexec,nodev,nosuid,errors=remount-ro 0 0\n`,
    );
});
fstab.run();

const markers = suite('prepare home: progress marker');
for (const marker of [
  { progress: 'making', uuid: '', seconds: 0 },
  { progress: 'copying', uuid: '68f0dbf4-343f-4b2e-8199-63212c9d26fa', seconds: 1_800_000_000 },
  { progress: 'copied', uuid: '68f0dbf4-343f-4b2e-8199-63212c9d26fa', seconds: 9 },
] as const) {
  markers(`${marker.progress} is read back`, () => {
    assert.is(formatMarker(marker).length, 512);
    assert.equal(parseMarker(formatMarker(marker)), marker);
  });
}
for (const text of [
  '',
  '\0'.repeat(512),
  'immutafs home copied',
  'immutafs home eaten - 1\n',
  'immutafs home copied ../x 1\n',
  'immutafs home copied - 1\nx',
  'ximmutafs home copied - 1\n',
]) {
  markers(`no marker: ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.is(parseMarker(text), undefined);
  });
}
markers.run();

const moved = suite('prepare home: the cutover in the action log');
const edit = (number: number, step: LoggedAction['step'], before: string, after: string): LoggedAction => ({
  ...{ number, id: `${number}`, step, began: `2026-01-0${number}T00:00:00.000Z` },
  ...{ ended: null, problem: null, backup: null },
  action: { do: 'edit', file: '/etc/fstab', before, after },
});
moved('an edit of fstab: its time, and the volume before', () => {
  const folder = edit(1, 'home', '', withHome('', { uuid: 'a', type: 'xfs' }));
  assert.equal(findMigration([folder]), { at: Date.parse('2026-01-01'), volume: undefined, uuid: 'a' });
  const before = '/dev/b /home xfs\n';
  const volume = edit(2, 'home', before, withHome(before, { uuid: 'b', type: 'xfs' }));
  const migrated = { at: Date.parse('2026-01-02'), volume: '/dev/b', uuid: 'b' };
  assert.equal(findMigration([folder, volume]), migrated);
});
moved('a cutover: its time, and the volume before', () => {
  const before = '/dev/b /home xfs\n';
  const logged = edit(3, 'home', before, withHome(before, { uuid: 'c', type: 'xfs' }));
  const action = { ...logged.action, do: 'cutover-home', disk: '/dev/vdb' } as LoggedAction['action'];
  const migrated = { at: Date.parse('2026-01-03'), volume: '/dev/b', uuid: 'c' };
  assert.equal(findMigration([{ ...logged, action }]), migrated);
  assert.is(findMigration([{ ...logged, action, problem: 'mount failed' }]), undefined);
});
moved('neither an edit of the options nor an edit of another step is a cutover', () => {
  const options = edit(1, 'home', 'UUID=a /home xfs\n', setOptions('UUID=a /home xfs\n', '/home', ['nodev']));
  assert.is(findMigration([options, edit(2, 'fstab', '', 'UUID=a /home xfs\n')]), undefined);
});
moved.run();

const first = suite('prepare: the first plan of /home');
first(
  'without a disk: names every missing program, every obstacle and everything that is not copied',
  async () => {
    const guest = guestWithFiles([...programs, ...forDisk].filter((file) => !/rsync|parted/.test(file)));
    guest.mounts['below'] = '0:44 / /home/x rw - tmpfs t rw';
    guest.mounts['bind'] = '253:1 /alice /srv/alice rw - xfs /dev/mapper/rhel-home rw';
    guest.mounts['home'] = guest.mounts['home']?.replace('noquota', 'usrquota,prjquota') ?? '';
    guest.files['etc/projects'] = '42:/home/alice\n43:/srv\n';
    const { state, why } = await planned(guest, 'home');
    assert.is(state, 'blocked');
    for (const part of [
      /^Give the guest a second disk|^Name a disk for it/,
      /^\/usr\/bin\/rsync is missing: install the package rsync\.$/,
      /^\/usr\/sbin\/parted is missing: install the package parted\.$/,
      /^Mounted below \/home, where the new \/home would hide them: \/home\/x\./,
      /^\/home\/alice is also mounted at \/srv\/alice, /,
      /^Quotas are on for \/home \(usrquota, prjquota\): .*\(\/etc\/projects: 42:\/home\/alice\), are not copied\./,
    ]) {
      assert.is(
        why.filter((sentence) => part.test(sentence)).length,
        1,
        `${String(part)}: ${why.join('\n')}`,
      );
    }
  },
);
first('installed programs are not named', async () => {
  const { why } = await planned(guestWithFiles([...programs, ...forDisk]), 'home');
  assert.is(why.length, 2, why.join('\n'));
});
first('an existing file system needs no parted', async () => {
  const { why } = await planned(guestWithFiles(programs), 'home', { settings: { homeUuid: '1-2' } });
  assert.not.match(why.join('\n'), /is missing/);
  assert.match(why.join('\n'), /UUID=1-2 is not a file system of this guest/);
});
first('a new /home over the old one, which is still mounted at /home, is on its own disk', async () => {
  const guest = guestWithFiles([...programs, ...forDisk]);
  guest.mounts['new'] = '252:16 / /home rw,noexec,nosuid,nodev - xfs /dev/vdb rw';
  const { why } = await planned(guest, 'home');
  assert.match(why[0] ?? '', /^\/home is \/dev\/vdb, which is not on the system/);
});
first('several items of REQUIRE_OPTIONS for /home count together', async () => {
  const guest = guestWithDisk(undefined, false);
  guest.files['etc/immutafs/immutafs.conf'] = 'REQUIRE_OPTIONS=/home:nosuid /tmp:nodev /home:noexec\n';
  guest.files['proc/900/exe'] = { linkTo: '/home/alice/agent' };
  guest.files['proc/900/comm'] = 'agent\n';
  const moved = await planned(guest, 'home', { settings: { homeDevice: disk } });
  assert.match(moved.why.join('\n'), /Programs that run from \/home now will not start again/);
  guest.mounts['home'] = '252:16 / /home rw - xfs /dev/vdb rw';
  guest.files['etc/fstab'] = '/dev/vdb /home xfs defaults 0 0\n';
  const { why } = await planned(guest, 'home');
  assert.match(why.join('\n'), '/home must have the options nosuid, noexec; missing: nosuid, noexec.');
});
first.run();

const all = [
  { do: 'partition-home', disk, wipe: false },
  { do: 'format-home', disk },
  { do: 'copy-home', disk, wipe: false },
  { do: 'verify-home', disk },
  { do: 'cutover-home', disk, file: '/etc/fstab', before: null, after: null },
  { do: 'clear-home-marker', disk },
];
const actions = suite('prepare: the actions of the migration');
for (const [title, marker, isFormatted, expected] of [
  ['an empty disk', undefined, false, all],
  ['an interrupted format', { progress: 'making', uuid: '' }, false, all],
  ['an interrupted copy', { progress: 'copying', uuid }, true, all.slice(2)],
  ['a run interrupted after the comparison', { progress: 'copied', uuid }, true, all.slice(2)],
  ['a marker of another file system', { progress: 'copying', uuid: uuid.replace('6', '7') }, true, []],
] as const) {
  actions(title, async () => {
    const settings = { homeDevice: disk };
    const step = await planned(guestWithDisk(marker, isFormatted), 'home', { settings });
    assert.equal(step.actions, expected, step.why.join('\n'));
    assert.is(step.state, expected.length > 0 ? 'needed' : 'blocked');
    if (expected.length === 0) assert.match(step.why.join(), /it contains .*the partition \/dev\/vdb1/);
  });
}
actions.run();
