import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { variablesFor, withPool } from '../libvirt/scripted-guest.ts';

/** Tests how the playbook pool starts and stops the spares of a pool. `long/pool-load.test.ts` does it under load. */
const spares = suite('a pool with spares gets another image');

spares('a spare serves before a guest is drained, and is stopped at the end', () =>
  withPool(
    ['a', 'b', 's'],
    async (fixture) => {
      const { ansible, host, state, notes } = fixture;
      const variables = { ...(await variablesFor(fixture, 'two', 'version 2')), immutafs_serial: 2 };
      const { exit, report, output } = await ansible.play('pool', variables);
      assert.equal([exit, report.toSorted()], [0, ['a: sealed', 'b: sealed', 's: shut off, sealed']], output);
      assert.equal(await state(), ['a running two', 'b running two', 's shut off two']);
      const did = await notes();
      assert.equal(did.slice(0, 2), ['health s', 'undrain s'], 'the spare is first');
      assert.equal(
        did.slice(2, -1).toSorted(),
        ['drain', 'health', 'undrain'].flatMap((each) => [`${each} a`, `${each} b`]),
      );
      assert.equal(did.slice(-1), ['drain s'], 'the spare is last');

      const running = await host.virsh('list', '--id');
      const second = await ansible.play('pool', variables);
      assert.is(second.exit, 0, second.output);
      assert.is(await host.virsh('list', '--id'), running, 'no spare was started');
      const more = (await notes()).slice(did.length);
      assert.equal(more.toSorted(), ['health a', 'health b', 'undrain a', 'undrain b']);
    },
    [],
    ['s'],
  ),
);

spares('if the spare fails, no guest is drained; the next run that succeeds stops it', () =>
  withPool(
    ['a', 's'],
    async (fixture) => {
      const { ansible, image, state, notes } = fixture;
      const variables = await variablesFor(fixture, 'two', 'version 2', 'fails');
      const { exit, report, output } = await ansible.play('pool', variables);
      assert.is(exit, 2, output);
      assert.match(
        report.join('\n'),
        /^s: sealed; rolled back: [^\n]*the verdict of the guest is failed: disk$/,
        output,
      );
      assert.equal([await state(), await notes()], [['a running one', 's running one'], ['undrain s']]);

      await image('two', 'version 2');
      const good = await ansible.play('pool', variables);
      assert.is(good.exit, 0, good.output);
      assert.equal(await state(), ['a running two', 's shut off two']);
    },
    [],
    ['s'],
  ),
);

spares('outside of a window, no spare is started', () =>
  withPool(
    ['a', 's'],
    async (fixture) => {
      const { ansible, state, notes } = fixture;
      const variables = await variablesFor(fixture, 'two', 'version 2');
      const clock = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString().slice(11, 16);
      const { exit, report, output } = await ansible.play('pool', {
        ...variables,
        immutafs_window: [{ from: clock(60), to: clock(180) }],
      });
      assert.is(exit, 0, output);
      assert.match(report.join('\n'), /^a: sealed; not updated: outside of every window/);
      assert.equal([await state(), await notes()], [['a running one', 's shut off one'], []]);
    },
    [],
    ['s'],
  ),
);

spares.run();
