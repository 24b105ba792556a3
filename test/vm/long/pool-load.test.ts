import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Load, withBalancer } from '../libvirt/balancer.ts';
import { type Pool, variablesFor, withPool } from '../libvirt/scripted-guest.ts';

/** Exchanges the image of a whole pool while clients send requests to it through HAProxy. */
const load = suite('a pool gets another image under load');

const guests = ['a', 'b', 'c', 'd'];

load('with a spare, no request fails in 20 exchanges', () =>
  withPool(
    [...guests, 's'],
    async (fixture) => {
      const { succeeded, failed, answered } = await exchanges(fixture, 5);
      assert.equal(failed, []);
      assert.equal([...answered].toSorted(), [...guests, 's'], 'each guest has answered');
      assert.ok(succeeded > 1000, `${succeeded} requests`);
    },
    [],
    ['s'],
  ),
);

load('without a spare, requests fail', () =>
  withPool(guests, async (fixture) => {
    const { failed } = await exchanges(fixture, 1);
    assert.ok(failed.length > 0);
  }),
);

/** Exchanges the image of all guests at the same time, several times, under load. */
async function exchanges(fixture: Pool, runs: number): Promise<Load> {
  const { ansible, host, image, ports, state } = fixture;
  const variables = {
    ...(await variablesFor(fixture, 'two', 'version 2')),
    immutafs_serial: guests.length,
    immutafs_drain_commands: [['balancer', 'drain']],
    immutafs_undrain_commands: [['balancer', 'ready']],
  };
  const versions = [
    { immutafs_image: await image('one', 'version 1'), immutafs_image_version: '1' },
    { immutafs_image: await image('two', 'version 2'), immutafs_image_version: '2' },
  ] as const;
  const served = Object.entries(ports).map(([name, port]) => ({ name, port, isDrained: name === 's' }));
  let result: Load | undefined;
  await withBalancer(host.folder, served, async ({ loadWhile }) => {
    result = await loadWhile(async () => {
      for (let run = 1; run <= runs; run++) {
        const { exit, output } = await ansible.play('pool', { ...variables, ...versions[run % 2] });
        assert.is(exit, 0, output);
        const image = run % 2 === 0 ? 'one' : 'two';
        const isAsExpected = guests.map((name) => `${name} running ${image}`);
        assert.equal((await state()).slice(0, guests.length), isAsExpected);
      }
    });
  });
  assert.ok(result);
  process.stdout.write(`${result.succeeded} requests succeeded, ${result.failed.length} failed\n`);
  return result;
}

load.run();
