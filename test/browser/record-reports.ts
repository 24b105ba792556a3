import { writeFileSync } from 'node:fs';
import { statusOf, look, withAgent } from '../vm/harness/scenario.ts';

/**
 * Boots a guest sealed and in maintenance mode, and records its reports, from which `fleet.ts` makes a fleet:
 * `node test/browser/record-reports.ts test/fixtures/fleet/reports.json`, as root.
 */
const [to] = process.argv.slice(2);
if (to === undefined) throw new Error('usage: node test/browser/record-reports.ts TO.json');

const { status } = look;
/** Nothing listens at the discard port, so that the forwarder waits and its lag grows. */
const forward = `cp /etc/immutafs/immutafs.conf /run/c && echo FORWARD=relp://127.0.0.1:9 >>/run/c &&
  mount --bind /run/c /etc/immutafs/immutafs.conf && systemctl restart immutafs-forward; sleep 8; ${status}`;

await withAgent({}, async (guest) => {
  const failed = `mount -o remount,exec /home; ${status}; code=$?; mount -o remount,noexec /home; exit $code`;
  const sealed = await guest.boot({ disk: 'readonly', allUnits: true, steps: { ...look, failed, forward } });
  const open = await guest.boot({ disk: 'writable', allUnits: true, steps: look });
  const recorded = {
    sealed: statusOf(sealed).report,
    failed: statusOf(sealed, 'failed').report,
    forward: statusOf(sealed, 'forward').report,
    maintenance: statusOf(open).report,
  };
  writeFileSync(to, `${JSON.stringify(recorded, null, 1)}\n`);
});
