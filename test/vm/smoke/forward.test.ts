import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertWholeBoot, serverName, untilState, withForwardingGuest } from '../harness/forwarding-guest.ts';
import { assertNothingFailed, checkOf, look, statusOf } from '../harness/scenario.ts';

const forward = suite('a sealed guest forwards its journal by RELP in TLS');

forward(
  'the server receives everything from the first kernel line to the last unit that stops at power-off',
  () =>
    withForwardingGuest(serverName, async (start, log) => {
      log.start();
      const boot = await start({ steps: { connected: untilState('connected'), ...look } });
      assert.is(boot.step('connected').exit, 0);
      assert.is(checkOf(statusOf(boot).report, 'forward-healthy').status, 'pass');
      assertNothingFailed(boot);
      assertWholeBoot(boot, log);
    }),
);

forward.run();
