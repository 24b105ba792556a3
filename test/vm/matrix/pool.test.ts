import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { variablesFor, withPool } from '../libvirt/scripted-guest.ts';

/** Tests the playbook pool with stub domains. `long/pool.test.ts` kills it. */
const pool = suite('a pool gets another image');

pool('each guest is drained, gets the image and is verified; a second run changes nothing', () =>
  withPool(['a', 'b', 'c'], async (fixture) => {
    const { ansible, host, state, notes } = fixture;
    const variables = {
      ...(await variablesFor(fixture, 'two', 'version 2')),
      immutafs_serial: [1, 2],
      immutafs_receipts: true,
    };
    const { exit, report, output } = await ansible.play('pool', variables);
    assert.equal([exit, report.toSorted()], [0, ['a: sealed', 'b: sealed', 'c: sealed']], output);
    assert.equal(await state(), ['a running two', 'b running two', 'c running two']);
    const did = await notes();
    assert.equal(did.slice(0, 3), ['drain a', 'health a', 'undrain a'], 'the first batch is one guest');
    assert.equal(
      did.slice(3).toSorted(),
      ['drain', 'health', 'undrain'].flatMap((each) => [`${each} b`, `${each} c`]),
    );

    const running = await host.virsh('list', '--id');
    // No window is open, but these guests need no restart.
    const second = await ansible.play('pool', { ...variables, immutafs_window: [closed()] });
    assert.is(second.exit, 0, second.output);
    assert.is(await host.virsh('list', '--id'), running, 'no guest was restarted');
    assert.equal((await notes()).filter((line) => line.startsWith('drain')).length, 3);

    const verified = await ansible.play('verify', variables, '-v');
    assert.is(verified.exit, 0, verified.output);
    assert.is([...verified.output.matchAll(/[abc]: unchanged; receipt of/g)].length, 3, verified.output);
    assert.is([...verified.output.matchAll(/"measured": \{/g)].length, 1, 'the image is read once');

    // The image of several guests is not opened in one of them.
    const opened = await ansible.play('unseal', { ...variables, immutafs_hosts: 'a' });
    assert.match(
      opened.report.join('\n'),
      /^a: sealed\. FAILED: .* the image of vda is also that of b vda, c vda/,
    );
    assert.equal(await state(), ['a running two', 'b running two', 'c running two']);
  }),
);

pool(
  'a guest that fails returns to its image, the others keep it, and a failed image is not tried again',
  () =>
    withPool(['a', 'b'], async (fixture) => {
      const { ansible, image, state, notes } = fixture;
      const variables = await variablesFor(fixture, 'two', 'version 2');
      for (const [lines, reason] of [
        [['version 2', 'dead'], /Wait until the guest has started: /],
        [['version 3'], /a reports the version 3 in \/etc\/immutafs\/image, not 2/],
      ] as const) {
        await image('two', ...lines);
        const { exit, report, output } = await ansible.play('pool', variables);
        assert.is(exit, 2, output);
        assert.match(report.join('\n'), /^a: sealed; rolled back: [^\n]*$/, output);
        assert.match(report.join('\n'), reason, output);
        assert.equal(await state(), ['a running one', 'b running one']);
        assert.equal((await notes()).splice(-2), ['drain a', 'undrain a']);
      }
      const before = await notes();
      const again = await ansible.play('pool', variables);
      assert.match(again.output, /Only the previous image is known to be good/, again.output);
      assert.equal([await state(), await notes()], [['a running one', 'b running one'], before]);

      // The counterpart: a new build in the same file.
      await image('two', 'version 2');
      const built = await ansible.play('pool', variables);
      assert.is(built.exit, 0, built.output);
      assert.equal(await state(), ['a running two', 'b running two']);
    }),
);

/** A window that opens in an hour, and one that is open. */
const clock = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString().slice(11, 16);
const closed = () => ({ from: clock(60), to: clock(180) });
const open = () => ({ from: clock(-10), to: clock(60) });

pool('outside of a window, a guest keeps its image; an exchange that has begun is finished', () =>
  withPool(['a'], async (fixture) => {
    const { ansible, host, state, notes } = fixture;
    const variables = await variablesFor(fixture, 'two', 'version 2');
    const deferred = await ansible.play('pool', { ...variables, immutafs_window: [closed()] });
    assert.is(deferred.exit, 0, deferred.output);
    assert.match(deferred.report.join('\n'), /^a: sealed; not updated: outside of every window; the next/);
    assert.equal([await state(), await notes()], [['a running one'], []]);

    const domain = { uri: host.uri, domain: 'a', target: 'vda' };
    await host.virsh('destroy', 'a');
    const trial = {
      ...domain,
      state: 'trial',
      path: variables['immutafs_image'],
      format: 'raw',
      reason: 'x',
    };
    assert.not((await ansible.module('image', trial)).failed);
    await host.virsh('start', 'a');
    const begun = await ansible.play('pool', { ...variables, immutafs_window: [closed()] });
    assert.equal(
      [begun.exit, begun.report, await state()],
      [0, ['a: sealed'], ['a running two']],
      begun.output,
    );

    // The counterpart: a window that is open.
    const back = { ...variables, immutafs_image: join(host.folder, 'one'), immutafs_image_version: '1' };
    const inside = await ansible.play('pool', {
      ...back,
      immutafs_window: [open()],
      immutafs_window_duration: 600,
    });
    assert.equal(
      [inside.exit, inside.report, await state()],
      [0, ['a: sealed'], ['a running one']],
      inside.output,
    );
  }),
);

pool('a third image is refused while one is on trial, and the guest keeps running', () =>
  withPool(['a', 'b'], async (fixture) => {
    const { ansible, host, image, state, notes } = fixture;
    const variables = await variablesFor(fixture, 'two', 'version 2');
    await host.virsh('destroy', 'b');
    const onTrial = { uri: host.uri, domain: 'b', target: 'vda', format: 'raw', reason: 'x' };
    const trial = { ...onTrial, state: 'trial', path: variables['immutafs_image'] };
    assert.not((await ansible.module('image', trial)).failed);
    await host.virsh('start', 'b');
    const before = [await state(), await host.virsh('list', '--id')];

    const third = { immutafs_image: await image('three', 'version 3'), immutafs_image_version: '3' };
    const refused = await ansible.play('pool', { ...variables, ...third });
    assert.is(refused.exit, 2, refused.output);
    assert.match(
      refused.report.join('\n'),
      /^b: sealed\. FAILED: Query the image: an interrupted run has left b with the image .*\/two: finish/m,
    );
    assert.equal([await state(), await host.virsh('list', '--id')], before, 'no guest was stopped');
    assert.equal(await notes(), []);
    const query = await ansible.module('image', { ...onTrial, state: 'query' });
    assert.equal([query['phase'], query['rejected']], ['trial', null], 'the image on trial has not failed');

    // The counterpart: the image on trial. After that, the third image is used.
    for (const [more, name] of [
      [{}, 'two'],
      [third, 'three'],
    ] as const) {
      const { exit, output } = await ansible.play('pool', { ...variables, ...more });
      assert.equal([exit, await state()], [0, [`a running ${name}`, `b running ${name}`]], output);
    }
  }),
);

pool('a guest whose logs are not acknowledged, or that cannot be drained, keeps running', () =>
  withPool(['a'], async (fixture) => {
    const { ansible, host, image, state, notes } = fixture;
    const variables = await variablesFor(fixture, 'two', 'version 2');
    const running = await host.virsh('list', '--id');
    const drained = await ansible.play('pool', { ...variables, immutafs_drain_commands: [['false']] });
    assert.match(drained.report.join('\n'), /^a: sealed\. FAILED: Run the drain commands: /, drained.output);
    await image('one', 'version 1', 'unacknowledged');
    const behind = await ansible.play('pool', variables);
    assert.match(behind.report.join('\n'), /^a: sealed\. FAILED: .*7 journal entries are not acknowledged/);
    assert.equal([await state(), await host.virsh('list', '--id')], [['a running one'], running]);
    assert.equal(await notes(), ['undrain a', 'drain a', 'undrain a']);
  }),
);

pool.run();
