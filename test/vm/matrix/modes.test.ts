import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertNothingFailed, checkOf, look, notPassed, statusOf, withAgent } from '../harness/scenario.ts';

const modes = suite('modes that somebody asked for');

modes('immutafs=off: nothing is assembled, yet the guest comes up', () =>
  withAgent({}, async (guest) => {
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

modes('MODE=sealed on a writable disk: assembled, but only the guest enforces it', () =>
  withAgent({ edit: (root) => configure(root, 'MODE=sealed') }, async (guest) => {
    const boot = await guest.boot({ disk: 'writable', steps: { ...look, var: 'findmnt -no FSTYPE /var' } });
    const { exit, report } = statusOf(boot);
    assert.equal(notPassed(report), []);
    assert.is(checkOf(report, 'host-enforced').status, 'warn');
    assert.is(report.mode, 'sealed');
    assert.is(report.enforcement, 'guest');
    assert.is(report.verdict, 'sealed');
    assert.is(exit, 0);
    assert.is(boot.step('var').stdout, 'overlay\n');
    assertNothingFailed(boot);
  }),
);

modes('immutafs=off wins over MODE=sealed', () =>
  withAgent({ edit: (root) => configure(root, 'MODE=sealed') }, async (guest) => {
    const boot = await guest.boot({ disk: 'writable', arguments: ['immutafs=off'], steps: look });
    const { exit, report } = statusOf(boot);
    assert.is(report.mode, 'off');
    assert.is(exit, 4);
    assertNothingFailed(boot);
  }),
);

async function configure(root: string, line: string): Promise<void> {
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), `${line}\n`);
}

modes.run();
