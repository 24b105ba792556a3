import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { movePoints } from '../../harness/move-points.ts';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import { withGuest } from '../harness/guest.ts';
import { type Boot, assertNothingFailed, layout, look } from '../harness/scenario.ts';
import { keptServices, servicesTree } from '../harness/services-tree.ts';
import {
  added,
  assertAdded,
  assertRecords,
  describe,
  prepareState,
  readings,
  stateOf,
} from '../harness/services.ts';
import { templateOf } from '../harness/template.ts';

/**
 * The points of the move, in their order, at which the power is cut, and what the plan of the next boot says about the
 * directory. test/system/prepare-move-power-cut.test.ts emulates a power cut at all points.
 */
const cuts = [
  // The services are stopped, and the copy lacks what they wrote last.
  ['before ^rsync .*--dry-run', /--move-state [^\n]*\/var\/lib\/postgresql/],
  // PERSIST names the directory, and the copy has its final name and is not mounted.
  ['after ^mv -T .*seeding', /The move of \/var\/lib\/postgresql is completed\./],
] as const;

const directory = '/var/lib/postgresql';
const { postgresql, acme, ...others } = keptServices;
const services = { postgresql, acme };
/** Keeps the other services of the guest from starting, which saves time. */
const unused = [...Object.keys(others), 'redis-server', 'mosquitto'].map(
  (name) => `systemd.mask=${name}.service`,
);

const powerCut = suite('power cuts while the state of services is moved');

powerCut('at two points: a database is complete, its server starts, and the plan says how to continue', () =>
  withDataDisk(async (drive) => {
    const space = layout({ system: [{ target: '/', filesystem: 'ext4', sizeMiB: 1800, options: 'ro' }] });
    const template = await templateOf(space, await servicesTree());
    const edit = (root: string) => persistOnDataDisk(root, '');
    await withGuest({ template, edit }, async (guest) => {
      const common = { drives: [drive], arguments: unused, memoryMiB: 1536, limitSeconds: 1200 };
      const begin = (record: number) => ({
        started: 'timeout 600 systemctl is-system-running --wait',
        failed: look.failed,
        ...(record === 1 ? {} : readings(services)),
        plan: prepareState,
        ...added(services, record),
      });

      for (const [index, [point]] of cuts.entries()) {
        assert.ok(movePoints.includes(point), `${point} is a point of the move`);
        const boot = await guest.boot({
          ...common,
          disk: 'writable',
          steps: { ...begin(index + 1), move: stoppedAt(point) },
          files: { 'move-state.sh': join(import.meta.dirname, '../../harness/move-state.sh') },
          powerCutAt: { after: /stopped at the point$/m, milliseconds: 0 },
        });
        assert.is(boot.endedBy, 'power-cut', describeEnd(boot));
        assert.not.match(boot.console, /the move ended$/m);
        assertWhole(boot, index);
      }

      const last = await guest.boot({
        ...common,
        disk: 'writable',
        steps: {
          ...begin(cuts.length + 1),
          move: `${prepareState} --apply --yes --move-state ${directory}`,
          rest: `${prepareState} --json`,
          ...readings(services, 'after-'),
        },
      });
      assertWhole(last, cuts.length);
      assertRecords(last, services, '123', 'after-');
      const { stateFindings = [], why } = stateOf(last, 'rest');
      assert.not(
        stateFindings.some(({ service }) => service === 'postgresql'),
        describe(last, 'rest'),
      );
      assert.match(why.join('\n'), /The old content of \/var\/lib\/postgresql is still on the system disk/);
      assertNothingFailed(last);
    });
  }),
);

/** Moves the database, stops at a point, and says so on the console. */
function stoppedAt(point: string): string {
  return `sed -n '/^points() {/,/^}/p' "$BOX/move-state.sh" >/run/points; . /run/points; points
    echo 'STOP ${point}' >/run/signal
    (until grep -q '^State:.T' "/proc/$(cat /run/immutafs/prepare.lock)/status"; do sleep 0.1; done 2>/dev/null
      echo 'stopped at the point' >/dev/console) &
    ${prepareState} --apply --yes --move-state ${directory} 2>&1 | tee /dev/console; echo 'the move ended' >/dev/console`;
}

/** Asserts that the services have started after a number of cuts, that nothing is lost, and what the plan says. */
function assertWhole(boot: Boot, cutsBefore: number): void {
  assert.is(boot.step('failed').stdout, '', `after ${cutsBefore} cuts`);
  if (cutsBefore > 0) {
    assertRecords(boot, services, '123'.slice(0, cutsBefore));
    const plan = boot.step('plan').stdout.replaceAll(/\n {21}/g, ' ');
    assert.match(plan, cuts[cutsBefore - 1]?.[1] ?? /^$/, plan);
    assert.is(boot.step('plan').exit, 1, describe(boot, 'plan'));
  }
  assertAdded(boot, services, cutsBefore + 1);
}

function describeEnd({ endedBy, console }: Boot): string {
  return `ended by ${endedBy}: ${console.split('\n').slice(-40).join('\n')}`;
}

powerCut.run();
