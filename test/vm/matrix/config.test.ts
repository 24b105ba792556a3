import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkOf, look, notPassed, statusOf, withAgent } from '../harness/scenario.ts';

const config = suite('an invalid configuration');

config(
  'garbage in immutafs.conf: the guest boots sealed, with the defaults or the strictest values, and reports each bad line',
  () =>
    withAgent({ edit: garble }, async (guest) => {
      const boot = await guest.boot({
        disk: 'readonly',
        steps: { ...look, env: 'cat /run/immutafs/boot.env', size },
      });
      const { exit, report } = statusOf(
        boot,
        'status',
        /line 1: MODE.*line 3: COLOUR.*line 4: .*line 5: VAR_SIZE/,
      );
      assert.equal(notPassed(report), ['config-valid']);
      assert.is(exit, 2);
      assert.is(report.mode, 'sealed');
      assert.is(report.var.overlay, true);
      assert.match(boot.step('env').stdout, /^VAR=overlay$/m);

      const [cap = NaN, memory = NaN] = boot.step('size').stdout.split(' ').map(Number);
      assert.ok(Math.abs(cap / memory - 0.25) < 0.01, `the cap is ${cap} KiB of ${memory}`);

      const { observed, remedy } = checkOf(report, 'config-valid');
      assert.match(observed, /line 1: MODE: .*, using sealed;/);
      assert.match(observed, /line 3: COLOUR/);
      assert.ok(remedy.length > 0);
      assert.match(boot.console, /immutafs\.conf:1: MODE/, 'the boot reports the line, too');
    }),
);

/** Prints the size of the upper layer and the guest's memory, in KiB. */
const size = `echo $(($(stat -f -c '%b * %S' /run/var) / 1024)) $(sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)`;

async function garble(root: string): Promise<void> {
  await writeFile(
    join(root, 'etc/immutafs/immutafs.conf'),
    `MODE=always\n\nCOLOUR=blue\n\u0001\u00ff\nVAR_SIZE=900%\n`,
  );
}

config.run();
