/** Tests the plan of `prepare --move-state`; test/system/prepare-move-state.test.ts moves real directories. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { noSettings } from '../../../../agent/prepare/engine/step.ts';
import { recordOf } from '../../../harness/moves.ts';
import { ordinaryGuest } from '../../../harness/ordinary-guest.ts';
import { planned } from '../../../harness/planned.ts';

const move = suite('prepare: plan of --move-state');

const programs = ['usr/bin/rsync', 'usr/bin/find', 'usr/bin/lsattr', 'usr/bin/flock', 'usr/sbin/blkid'];

/** Plans the step for a guest with a store on /home. @param refusal what persist-check prints; empty: it accepts */
async function planMove(items: string, refusal = '', conf = '', record?: string) {
  const guest = ordinaryGuest();
  if (record !== undefined) guest.files['var/lib/immutafs/moves.json'] = record;
  guest.files['etc/immutafs/immutafs.conf'] = `PERSIST_STORE=/home/store\n${conf}`;
  guest.files['var/lib/pgsql/data/1'] = 'row';
  guest.files['opt/agent/state'] = 'x';
  guest.files['opt/other/state'] = 'x';
  for (const program of programs) guest.files[program] = '';
  const checked: string[] = [];
  guest.answers.run = (program, args) => {
    if (!program.endsWith('immutafs-boot')) return undefined;
    checked.push(args.join(' '));
    return { stdout: refusal, ended: refusal === '' ? 'good' : 'bad' };
  };
  const step = await planned(guest, 'state', { settings: { ...noSettings, moveState: items.split(' ') } });
  return { ...step, text: step.why.join(' '), checked };
}

const moved = ['plan-state'];
const kindsOf = ({ actions }: Awaited<ReturnType<typeof planMove>>) => actions.map((action) => action.do);

move('a move is recorded, with the item that PERSIST needs', async () => {
  const plan = await planMove('/var/lib/pgsql');
  assert.equal(
    [plan.state, kindsOf(plan), plan.checked],
    ['needed', moved, ['persist-check /var/lib/pgsql ']],
    plan.text,
  );
  assert.ok(plan.actions.every((action) => 'item' in action && action.item === '/var/lib/pgsql'));
});

move(
  'what only sealed boots mount is left to the first one, unless maintenance boots mount it, too',
  async () => {
    const later = await planMove('/opt/agent');
    assert.equal(
      [kindsOf(later), later.checked],
      [['edit'], ['persist-check /opt/agent autostart']],
      later.text,
    );
    assert.match(later.text, /the first sealed boot copies it/);
    const now = await planMove('/opt/agent:autostart,maintenance');
    assert.equal(kindsOf(now), moved, now.text);
  },
);

move('one edit adds all that the first sealed boot copies, before a move changes PERSIST', async () => {
  const items = '/var/lib/pgsql /opt/agent /opt/other:autostart';
  const plan = await planMove(items, '', 'PERSIST=/var/lib/acme\n');
  assert.equal(kindsOf(plan), ['edit', ...moved], plan.text);
  const [edit] = plan.actions;
  assert.match(
    edit?.do === 'edit' ? edit.after : '',
    /^PERSIST=\/var\/lib\/acme \/opt\/agent:autostart \/opt\/other:autostart$/m,
  );
});

move('what the boot refuses, and what is nested with a kept path, is blocked', async () => {
  const refused = await planMove('/var/lib/pgsql', 'REASON=no disk\nREMEDY=Attach it.\n');
  assert.equal([refused.state, refused.actions], ['blocked', []]);
  assert.match(refused.text, '/var/lib/pgsql would not be kept: no disk. Attach it.');
  for (const [other, expected, said] of [
    ['/var/lib', 'blocked', /kept already, as a part of \/var\/lib\./],
    ['/var/lib/pgsql/data', 'blocked', /contains \/var\/lib\/pgsql\/data, which PERSIST keeps/],
    ['/var/lib/pg', 'needed', /./],
  ] as const) {
    const { state, text } = await planMove('/var/lib/pgsql', '', `PERSIST=${other}\n`);
    assert.is(state, expected, text);
    assert.match(text, said);
  }
});

move('what is nested with another move is blocked', async () => {
  const both = await planMove('/var/lib/pgsql/data /var/lib/pgsql');
  assert.equal([both.state, both.actions], ['blocked', []], both.text);
  assert.match(both.text, /\/data moves already, as a part of \/var\/lib\/pgsql\..*name only one of them/);
  const task = { phase: 'planned', task: 'move' } as const;
  for (const [recorded, asked] of [
    ['/var/lib/pgsql', '/var/lib/pgsql/data'],
    ['/var/lib/pgsql/data', '/var/lib/pgsql'],
  ] as const) {
    const plan = await planMove(asked, '', '', recordOf(recorded, 'a', task));
    assert.is(plan.state, 'blocked', plan.text);
  }
  const beside = await planMove('/var/lib/pgsql', '', '', recordOf('/var/lib/pgsql2', 'a', task));
  assert.is(beside.state, 'needed', beside.text);
});

move.run();
