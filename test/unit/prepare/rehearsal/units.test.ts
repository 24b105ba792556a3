import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { goodGuest, withGuest } from '../../../harness/guest.ts';
import { isBootComplete, parseUnits, readUnits } from '../../../../agent/prepare/rehearsal/units.ts';

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
for (const [state, isComplete] of [
  ['running', true],
  ['degraded', true],
  ['starting', false],
  ['initializing', false],
  ['stopping', false],
  ['', false],
] as const) {
  units(`the state ${state}`, async () => {
    const guest = goodGuest();
    guest.answers.run = () => ({ stdout: `${state}\n`, ended: 'bad' });
    await withGuest(guest, async (reader) => assert.is(await isBootComplete(reader), isComplete));
  });
}
units.run();
