import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LoggedAction } from '../../../../agent/prepare/engine/action-log.ts';
import { setOptions } from '../../../../agent/prepare/engine/fstab.ts';
import { withHome } from '../../../../agent/prepare/home/persistence.ts';
import { findMigration } from '../../../../agent/prepare/home/purge.ts';

const moved = suite('prepare home: the cutover in the action log');
const edit = (number: number, step: LoggedAction['step'], before: string, after: string): LoggedAction => ({
  number,
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
