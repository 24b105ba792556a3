import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertWholeBoot, untilState, withForwardingGuest } from '../harness/forwarding-guest.ts';
import { assertSealed, checkOf, look } from '../harness/scenario.ts';

/** Waits until read-journal reads the journal in the confined service, which begins when a server is connected. */
const reader =
  'for i in $(seq 120); do grep -qx read-journal /proc/[0-9]*/comm && exit 0; sleep 0.5; done; exit 1';

const forward = suite('a sealed guest forwards its journal by RELP in TLS');

forward(
  'the server receives everything from the first kernel line to the last unit that stops at power-off',
  () =>
    withForwardingGuest({}, async (start, log) => {
      log.start();
      const boot = await start({ steps: { connected: untilState('connected'), reader, ...look } });
      for (const name of ['connected', 'reader']) assert.is(boot.step(name).exit, 0, name);
      const report = assertSealed(boot);
      for (const id of ['forward-healthy', 'audit-forwarded'])
        assert.is(checkOf(report, id).status, 'pass', id);
      assertWholeBoot(boot, log);
    }),
);

forward.run();
