import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentRpm } from '../harness/agent.ts';
import { assertOwnFlag, flagged } from '../harness/own-flag.ts';
import { assertNothingFailed, look, statusOf, withInstalledAgent } from '../harness/scenario.ts';

const rpm = suite('the package in a running guest');

rpm(
  'upgraded in maintenance: a changed configuration is kept; the flags that root sets on disks do not seal',
  () =>
    withInstalledAgent({}, async (guest) => {
      const boot = await guest.boot({
        disk: 'writable',
        files: { 'agent.rpm': await agentRpm() },
        steps: {
          change: `sed -i 's/^#VAR_SIZE=.*/VAR_SIZE=40%/' /etc/immutafs/immutafs.conf`,
          upgrade: 'rpm --upgrade --force --nodeps "$BOX/agent.rpm"',
          changed: 'grep -x VAR_SIZE=40% /etc/immutafs/immutafs.conf',
          ...look,
          flagged,
        },
        memoryMiB: 2048,
        limitSeconds: 500,
      });
      for (const name of ['change', 'upgrade', 'changed']) {
        assert.is(boot.step(name).exit, 0, `${name}: ${boot.step(name).stderr}`);
        assert.is(boot.step(name).stderr, '', name);
      }
      assert.is(statusOf(boot).exit, 4);
      assertNothingFailed(boot);
      assertOwnFlag(boot);
    }),
);

rpm.run();
