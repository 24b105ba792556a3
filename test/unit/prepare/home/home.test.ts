import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withHome } from '../../../../agent/prepare/home/migration.ts';
import { disk, forDisk, guestWithDisk, guestWithFiles, programs, uuid } from '../../../harness/home-disk.ts';
import { recordOf } from '../../../harness/moves.ts';
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

const first = suite('prepare: the first plan of /home');
first(
  'without a disk: names every missing program, every obstacle and everything that is not copied',
  async () => {
    const guest = guestWithFiles([...programs, ...forDisk].filter((file) => !/rsync|parted/.test(file)));
    guest.mounts['below'] = '0:44 / /home/x rw - tmpfs t rw';
    guest.mounts['home'] = guest.mounts['home']?.replace('noquota', 'usrquota,prjquota') ?? '';
    guest.files['etc/projects'] = '42:/home/alice\n43:/srv\n';
    const { state, why } = await planned(guest, 'home');
    assert.is(state, 'blocked');
    for (const part of [
      /^Give the guest a second disk|^Name a disk for it/,
      /^\/usr\/bin\/rsync is missing: install the package rsync\.$/,
      /^\/usr\/sbin\/parted is missing: install the package parted\.$/,
      /^Mounted below \/home, where the new \/home would hide them: \/home\/x\./,
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
  const guest = guestWithDisk(false);
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
first('an option of the line for /home that a later one reverts is missing', async () => {
  for (const [options, after] of [
    ['noexec,nosuid,nodev,exec', 'noexec,nosuid,nodev'],
    ['exec,noexec,nosuid,nodev', undefined],
  ] as const) {
    const guest = guestWithDisk(false);
    guest.mounts['new'] = '252:16 / /home rw,noexec,nosuid,nodev - xfs /dev/vdb rw';
    guest.files['etc/fstab'] = `/dev/vdb /home xfs ${options} 0 0\n`;
    const { actions, why } = await planned(guest, 'home');
    assert.equal(
      actions.map((action) => action.do === 'edit' && action.after),
      after === undefined ? [] : [`/dev/vdb /home xfs ${after} 0 0\n`],
      why.join(' '),
    );
  }
});
first.run();

const actions = suite('prepare: the actions that give /home a file system');
for (const [title, isMade, isRecorded, expected] of [
  ['an empty disk', false, false, ['partition-home', 'format-home', 'plan-home']],
  ['a file system to which a move is recorded', true, true, ['plan-home']],
  ['our partition, without a record', true, false, []],
] as const) {
  actions(title, async () => {
    const settings = { homeDevice: disk };
    const guest = guestWithDisk(isMade);
    if (isRecorded) guest.files['var/lib/immutafs/moves.json'] = recordOf('/home', uuid);
    const step = await planned(guest, 'home', { settings });
    assert.equal(
      step.actions.map((action) => action.do),
      expected,
      step.why.join('\n'),
    );
    assert.is(step.state, expected.length > 0 ? 'needed' : 'blocked');
    if (expected.length === 0) assert.match(step.why.join(), /it contains .*the partition \/dev\/vdb1/);
  });
}
actions.run();
