import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import { withGuest } from '../harness/guest.ts';
import { moveBoot } from '../harness/move-boot.ts';
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
 * What the console shows when the power is cut, in the order of the move. test/system/prepare-move-power-cut.test.ts emulates a
 * power cut at all points.
 */
const cuts = [/immutafs: Comparing every byte of/, /immutafs: \/var\/lib\/postgresql moved to/];

const directory = '/var/lib/postgresql';
const { postgresql, acme, ...others } = keptServices;
const services = { postgresql, acme };
/** Keeps the other services of the guest from starting, which saves time. */
const unused = [...Object.keys(others), 'redis-server', 'mosquitto'].map(
  (name) => `systemd.mask=${name}.service`,
);

const powerCut = suite('power cuts while the state of services is moved');

powerCut(
  'at two points: a database is complete, its server starts, and the next boot completes the move',
  () =>
    withDataDisk(async (drive) => {
      const space = layout({ system: [{ target: '/', filesystem: 'ext4', sizeMiB: 1800, options: 'ro' }] });
      const template = await templateOf(space, await servicesTree());
      const edit = (root: string) => persistOnDataDisk(root, '');
      await withGuest({ template, edit }, async (guest) => {
        const common = { drives: [drive], memoryMiB: 1536, limitSeconds: 1200 };
        const ordinary = (steps: Record<string, string>) =>
          guest.boot({
            ...common,
            arguments: [...unused, 'systemd.unit=multi-user.target'],
            disk: 'writable',
            steps: {
              started: 'timeout 600 systemctl is-system-running --wait',
              failed: look.failed,
              ...steps,
            },
          });

        const open = await ordinary({
          ...added(services, 1),
          move: `${prepareState} --apply --yes --move-state ${directory}`,
        });
        assert.is(open.step('move').exit, 1, describe(open, 'move'));
        assertAdded(open, services, 1);
        for (const [index, after] of cuts.entries()) {
          const cut = await guest.boot({
            ...common,
            arguments: unused,
            disk: 'writable',
            steps: { ordinary: 'true' },
            powerCutAt: { after, milliseconds: 0 },
          });
          assert.is(cut.endedBy, 'power-cut', describeEnd(cut));
          const between = await ordinary({ ...readings(services), ...added(services, index + 2) });
          assert.is(between.step('failed').stdout, '', `after ${index + 1} cuts`);
          assertRecords(between, services, '123'.slice(0, index + 1));
          assertAdded(between, services, index + 2);
        }

        await moveBoot(guest, { ...common, arguments: unused });
        const last = await ordinary({
          ...readings(services),
          rest: `${prepareState} --json`,
          mounts: `findmnt -no SOURCE --mountpoint ${directory}`,
        });
        assertRecords(last, services, '123');
        const { stateFindings = [], why } = stateOf(last, 'rest');
        assert.not(
          stateFindings.some(({ service }) => service === 'postgresql'),
          describe(last, 'rest'),
        );
        assert.match(why.join('\n'), /The old content of \/var\/lib\/postgresql is still on the system disk/);
        assert.match(last.step('mounts').stdout, /store/);
        assertNothingFailed(last);
      });
    }),
);

function describeEnd({ endedBy, console }: Boot): string {
  return `ended by ${endedBy}: ${console.split('\n').slice(-40).join('\n')}`;
}

powerCut.run();
