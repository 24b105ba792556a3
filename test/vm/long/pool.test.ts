import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { killedAt, variablesFor, withPool } from '../libvirt/scripted-guest.ts';

/** Kills the playbook pool. The counterparts, runs that are not killed, are in `matrix/pool.test.ts`. */
const pool = suite('the exchange of an image is interrupted');

pool('a run that is killed is continued, and can still return to the previous image', () =>
  withPool(['a'], async (fixture) => {
    const { ansible, state } = fixture;
    const variables = await variablesFor(fixture, 'two', 'version 2');
    await killedAt(fixture, 'pool', 'Set the image', variables);
    await killedAt(fixture, 'pool', 'Start the guest', variables);
    await killedAt(fixture, 'pool', 'Run the health commands', variables);
    assert.equal(await state(), ['a running two']);
    const bad = await ansible.play('pool', { ...variables, immutafs_health_commands: [['false']] });
    assert.match(
      bad.report.join('\n'),
      /^a: sealed; rolled back: Run the health commands: .*false ended with 1/,
    );
    assert.equal(await state(), ['a running one']);
    const good = await ansible.play('pool', { ...variables, immutafs_image_retry: true });
    assert.equal([good.exit, good.report, await state()], [0, ['a: sealed'], ['a running two']], good.output);
  }),
);

pool('a return that is killed is finished, and one that an administrator requests is possible', () =>
  withPool(['a', 'b'], async (fixture) => {
    const { ansible, image, state } = fixture;
    const variables = await variablesFor(fixture, 'two', 'version 2', 'fails');
    await killedAt(fixture, 'pool', 'Reinstate the receipt', variables);
    const resumed = await ansible.play('pool', variables);
    assert.is(resumed.exit, 2, resumed.output);
    const [returned = '', ...others] = resumed.report;
    assert.match(returned, /^a: sealed; rolled back: .* the verdict of the guest is failed: disk/);
    assert.equal(others, ['b: sealed. FAILED: not continued, because another guest failed'], resumed.output);
    assert.equal(await state(), ['a running one', 'b running one']);

    await image('two', 'version 2');
    await killedAt(fixture, 'pool', 'Require the version of the image', variables);
    assert.match((await state())[0] ?? '', / two$/);
    const previous = { immutafs_image: await image('one', 'version 1'), immutafs_image_version: '1' };
    const back = await ansible.play('pool', { ...variables, ...previous });
    assert.equal([back.exit, back.report], [0, ['a: sealed', 'b: sealed']], back.output);
    assert.equal(await state(), ['a running one', 'b running one']);
  }),
);

pool.run();
