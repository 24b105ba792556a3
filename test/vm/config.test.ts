import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkOf, look, notPassed, statusOf, withAgent } from './harness/scenario.ts';

const config = suite('a configuration that is wrong');

config('garbage in immutafs.conf: the guest boots sealed on the defaults and says what is wrong', () =>
  withAgent({ edit: garble }, async (guest) => {
    const boot = await guest.boot({
      disk: 'readonly',
      steps: { ...look, env: 'cat /run/immutafs/boot.env' },
    });
    const { exit, report } = statusOf(
      boot,
      'status',
      /immutafs\.conf:1: MODE.*immutafs\.conf:3: COLOUR.*immutafs\.conf:4: /,
    );
    assert.equal(notPassed(report), ['config-valid']);
    // Nothing but the configuration is wrong.
    assert.is(exit, 2);
    assert.is(report.mode, 'sealed');
    assert.is(report.var.overlay, true);
    assert.match(boot.step('env').stdout, /^VAR=overlay$/m);

    const { observed, remedy } = checkOf(report, 'config-valid');
    assert.match(observed, /\/etc\/immutafs\/immutafs\.conf:1: MODE/);
    assert.match(observed, /\/etc\/immutafs\/immutafs\.conf:3: COLOUR/);
    assert.ok(remedy.length > 0);
    assert.match(boot.console, /immutafs\.conf:1: MODE/, 'said at boot, too');
  }),
);

async function garble(root: string): Promise<void> {
  await writeFile(join(root, 'etc/immutafs/immutafs.conf'), 'MODE=always\n\nCOLOUR=blue\n\u0001\u00ff\n');
}

config.run();
