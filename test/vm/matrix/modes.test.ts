import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configure, look, notPassed, statusOf, withAgent } from '../harness/scenario.ts';

/** MODE=sealed is tested in `verify.test.ts`. */
const modes = suite('immutafs=off');

modes('MODE=sealed and a read-only disk: /var is not assembled, the guest comes up', () =>
  withAgent({ edit: configure('MODE=sealed\n') }, async (guest) => {
    const steps = { ...look, var: 'findmnt -n /var', write: 'touch /var/lib/mark' };
    const boot = await guest.boot({ disk: 'readonly', arguments: ['immutafs=off'], steps });
    const { exit, report } = statusOf(boot);
    assert.equal(notPassed(report), []);
    assert.is(exit, 4);
    assert.is(report.mode, 'off');
    assert.is(report.verdict, 'off');
    assert.is(report.var.overlay, false);
    assert.is(boot.step('var').stdout, '');
    assert.match(boot.step('write').stderr, /Read-only file system/);
    assert.is(boot.endedBy, 'poweroff');
  }),
);

modes.run();
