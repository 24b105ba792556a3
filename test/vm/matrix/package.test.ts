import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertSealed, look, withInstalledAgent } from '../harness/scenario.ts';

/** An upgrade, and erasing it in maintenance, are tested in `long/package.test.ts`. */
const rpm = suite('the package in a running guest');

rpm('installed by rpm: sealed at the next boot; erasing it from the sealed guest fails', () =>
  withInstalledAgent({}, async (guest, installed) => {
    assert.is(installed.steps['install']?.stderr, '');
    const erase = 'rpm --erase --nodeps immutafs-agent';
    const boot = await guest.boot({
      disk: 'readonly',
      steps: { ...look, erase, still: 'rpm -q immutafs-agent' },
    });
    assertSealed(boot);
    assert.is.not(boot.step('erase').exit, 0);
    assert.match(boot.step('erase').stderr, /THIS GUEST IS SEALED, packages cannot be changed/);
    assert.is(boot.step('still').exit, 0);
  }),
);

rpm.run();
