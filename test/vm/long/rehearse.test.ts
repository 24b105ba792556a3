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
  written,
} from '../harness/rehearsal.ts';
import { assertNothingFailed, assertSealed, look, statusOf, withAgent } from '../harness/scenario.ts';

/** Rehearsals that end by themselves are tested in `matrix/rehearse.test.ts`. */
const rehearse = suite('prepare --rehearse');

async function prepared(root: string): Promise<void> {
  await addServices(root);
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), `${overlayLine}\n`);
  await requestRehearsal(root, 1800);
}

rehearse('a power cut ends the rehearsal, and its report is kept; the host seals in spite of a request', () =>
  withAgent({ edit: prepared }, async (guest) => {
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
      /^This guest is sealed[^]*A rehearsal was requested, but this boot is none/,
    );
  }),
);

rehearse.run();
