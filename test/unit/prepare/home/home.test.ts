import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LoggedAction } from '../../../../agent/prepare/engine/action-log.ts';
import { setOptions } from '../../../../agent/prepare/engine/fstab.ts';
import { withHome } from '../../../../agent/prepare/home/persistence.ts';
import { emptyMarker, formatMarker, parseMarker } from '../../../../agent/prepare/home/progress-marker.ts';
import { findMigration } from '../../../../agent/prepare/home/purge.ts';

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
  emptyMarker,
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
  number,
  id: `${number}`,
  step,
  action: { do: 'edit', file: '/etc/fstab', before, after },
  began: `2026-01-0${number}T00:00:00.000Z`,
  ended: null,
  problem: null,
  backup: null,
});
moved('an edit of fstab: its time, and the volume before', () => {
  const folder = edit(1, 'home', '', withHome('', { uuid: 'a', type: 'xfs' }));
  assert.equal(findMigration([folder]), { at: Date.parse('2026-01-01'), volume: undefined, uuid: 'a' });
  const volume = edit(
    2,
    'home',
    '/dev/b /home xfs\n',
    withHome('/dev/b /home xfs\n', { uuid: 'b', type: 'xfs' }),
  );
  assert.equal(findMigration([folder, volume]), {
    at: Date.parse('2026-01-02'),
    volume: '/dev/b',
    uuid: 'b',
  });
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
