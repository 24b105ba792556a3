import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LoggedAction } from '../../../../../agent/prepare/engine/action-log.ts';
import { ownPeriods } from '../../../../../agent/prepare/steps/writes/own-changes.ts';

const own = suite('periods in which prepare worked');
const entry = (began: string, ended: string | null, action: Partial<LoggedAction['action']>): LoggedAction =>
  ({ number: 1, step: 'etc', action, began, ended, problem: null, backup: null }) as LoggedAction;
const at = (seconds: number) => new Date(seconds * 1000).toISOString();

own('an action has its period, an interrupted one a minute', () => {
  const log = [entry(at(100), at(103), { do: 'edit' }), entry(at(500), null, { do: 'run' })];
  assert.equal(ownPeriods(log), [
    { from: 99, to: 104 },
    { from: 499, to: 561 },
  ]);
});

own('a copy of /home that takes hours hides nothing', () => {
  assert.equal(ownPeriods([entry(at(100), at(9000), { do: 'copy-home' })]), []);
});

own('a damaged time hides nothing', () => {
  assert.equal(
    ownPeriods([entry('yesterday', at(9000), { do: 'edit' }), entry(at(1), 'x', { do: 'edit' })]),
    [],
  );
});
own.run();
