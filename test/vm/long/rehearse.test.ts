import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  addServices,
  ended,
  marker,
  outcomeStep,
  overlayLine,
  requestRehearsal,
  settled,
  untilReboot,
  written,
} from '../harness/rehearsal.ts';
import { assertNothingFailed, assertSealed, look, statusOf, withAgent } from '../harness/scenario.ts';

/** A rehearsal in which problems are found is tested in `matrix/rehearse.test.ts`. */
const rehearse = suite('prepare --rehearse');

/** A guest with the proposed line, and with a requested rehearsal. */
const requested = (limit: number) => async (root: string) => {
  await addServices(root);
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), `${overlayLine}\n`);
  await requestRehearsal(root, limit);
};

/** Long enough for a boot on a busy machine. */
const limitSeconds = 180;

rehearse('nothing is found; the time limit ends the rehearsal, and the next boot is maintenance', () =>
  withAgent({ edit: requested(limitSeconds) }, async (guest) => {
    const limited = await guest.boot({
      disk: 'writable',
      steps: { ...look, written, settled, untilReboot },
      limitSeconds: 700,
    });
    assert.is(statusOf(limited).report.verdict, 'rehearsal');
    assert.is(limited.step('failed').stdout, '');
    assert.is(limited.step('written').stdout, 'state\nkey\n');
    assert.is(limited.step('settled').exit, 0);
    assert.is(limited.endedBy, 'poweroff');
    assert.not.ok(limited.done, 'the reboot was not the end of the steps');

    const after = await guest.boot({ disk: 'writable', steps: { ...look, outcome: outcomeStep, marker } });
    assert.is(statusOf(after).report.mode, 'maintenance');
    assertNothingFailed(after);
    assert.is(after.step('marker').exit, 1);
    const report = ended(after, 'outcome', 'limit');
    assert.equal([report.ready, report.why, report.add.overlay], [true, [], ''], JSON.stringify(report));
    const { uptimeSeconds } = report;
    assert.is(report.limitSeconds, limitSeconds);
    assert.ok(uptimeSeconds >= limitSeconds && uptimeSeconds < limitSeconds + 90, String(uptimeSeconds));
  }),
);

rehearse('a power cut ends the rehearsal, and its report is kept; the host seals in spite of a request', () =>
  withAgent({ edit: requested(1800) }, async (guest) => {
    const cut = await guest.boot({
      disk: 'writable',
      steps: { ...look, written, settled },
      powerCutAfter: 'settled',
      limitSeconds: 700,
    });
    assert.is(statusOf(cut).report.verdict, 'rehearsal');
    assert.is(cut.step('failed').stdout, '');
    assert.is(cut.step('written').stdout, 'state\nkey\n');
    assert.is(cut.step('settled').exit, 0);
    assert.is(cut.endedBy, 'power-cut');

    const request =
      'rm /opt/agent/data/state /etc/vendor/key; immutafs-agent prepare --rehearse --discard-state --limit 100s';
    const after = await guest.boot({
      disk: 'writable',
      steps: { ...look, outcome: outcomeStep, marker, request },
    });
    assert.is(statusOf(after).report.mode, 'maintenance');
    assertNothingFailed(after);
    assert.is(after.step('marker').exit, 1);
    const report = ended(after, 'outcome', 'power-cut');
    assert.equal([report.ready, report.why, report.add.overlay], [true, [], ''], JSON.stringify(report));
    assert.is(after.step('request').exit, 0, after.step('request').stderr);

    const sealed = await guest.boot({
      disk: 'readonly',
      steps: { ...look, written, shown: 'immutafs-agent prepare', marker },
    });
    const { overlays, rehearsal, boot } = assertSealed(sealed);
    assert.equal(
      overlays.map(({ target, state }) => [target, state]),
      [
        ['/etc/vendor', 'overlay'],
        ['/opt/agent/data', 'overlay'],
      ],
    );
    assert.is(sealed.step('written').stdout, 'state\nkey\n');
    assert.is(rehearsal, null);
    assert.match(
      boot?.warnings.join() ?? '',
      /^a rehearsal was requested .* the host made the disk read-only/,
    );
    assert.is(sealed.step('marker').exit, 0);
    assert.match(
      sealed.step('shown').stdout,
      /^This guest is sealed[^]*A rehearsal was requested, but this boot is not a rehearsal/,
    );
  }),
);

rehearse.run();
