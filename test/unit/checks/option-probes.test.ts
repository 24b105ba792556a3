import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, config } from '../../harness/changes.ts';
import { findingOf } from '../../harness/finding.ts';

const probes = suite('option-probes');
for (const [kind, good, bad] of [
  ['exec', 'EACCES', 'RAN'],
  ['suid', 'IGNORED', 'HONOURED'],
  ['device', 'EACCES', 'OPENED'],
] as const) {
  for (const [answer, status] of [
    [good, 'pass'],
    [bad, 'fail'],
    ['TIMEOUT', 'error'],
    ['ENOSPC', 'error'],
    ['EPERM', 'error'],
  ] as const) {
    probes(`${kind} answers ${answer}`, async () => {
      const change: Change = ({ answers }) => {
        answers.probes[kind] = answer;
      };
      assert.is((await findingOf(`${kind}-probe`, change)).status, status);
      const untried = await findingOf(`${kind}-probe`, change, { probe: false });
      assert.is(untried.status, 'skip', 'without --probe');
    });
  }
}
probes('an option that is not required is not tried', async () => {
  const change = config('REQUIRE_OPTIONS=/home:nosuid\n');
  assert.is((await findingOf('exec-probe', change)).status, 'skip');
  assert.is((await findingOf('suid-probe', change)).status, 'pass');
});
probes.run();
