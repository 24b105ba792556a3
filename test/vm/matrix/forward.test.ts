import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lastWords, untilState, withForwardingGuest } from '../harness/forwarding-guest.ts';
import { type Boot, assertNothingFailed, checkOf, look, statusOf } from '../harness/scenario.ts';

const forward = suite('a sealed guest forwards its journal by RELP in TLS');

forward(
  'the certificate has another name: the guest sends nothing, reports why, and stops without delay',
  () =>
    withForwardingGuest({ peer: 'other.example.com' }, async (start, log) => {
      log.start();
      const boot = await start({ steps: { waiting: untilState('waiting'), ...look } });
      assert.is(boot.step('waiting').exit, 0);
      const { observed, status } = checkOf(statusOf(boot).report, 'forward-healthy');
      assert.match(observed, /not connected.*(altnames|other\.example\.com)/);
      assert.is(status, 'warn');
      assertNothingFailed(boot);
      assert.equal(log.stored('guest'), []);
      // The forwarder stops when the late unit has stopped, and is not killed at its timeout.
      assert.match(boot.console, lastWords);
      assert.match(boot.console, /immutafs-forward\.service: (Deactivated successfully|Succeeded)/);
      assert.not.match(boot.console, /timed out/);
      assert.ok(stopSeconds(boot) < 30, boot.console);
    }),
);

/** Returns the seconds that the forwarder took to stop, by the guest's clock. */
function stopSeconds({ console: text }: Boot): number {
  const at = (what: RegExp) => Number(what.exec(text)?.[1] ?? NaN);
  return (
    at(/^\[ *([\d.]+)\].*: Stopped immutafs-forward/m) - at(/^\[ *([\d.]+)\].*: Stopping immutafs-forward/m)
  );
}

forward.run();
